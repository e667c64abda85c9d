"""What of a status is to be believed, when anybody may have edited it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rlhf_operator.state.status.trusted import read_status

TEXTS = st.sampled_from(["", "x", "demo-0f1e2-1", "2026-11-22T11:00:00Z", "2999-01-01T00:00:00Z"])
VALUES = TEXTS | st.integers(-2, 2**40) | st.none() | st.booleans()
ATTEMPTS = st.dictionaries(
    st.sampled_from(["number", "submissionId", "rayClusterName", "startTime", "stopTime"]), VALUES
)


def read(build: Any, **status: Any) -> Any:
    return read_status(status, "demo", build.uid, build.now)


def test_our_own_status_is_believed_whole(build: Any) -> None:
    status = build.scene().status
    believed, complaints = read_status(status.to_manifest(), "demo", build.uid, build.now)
    assert (believed, complaints) == (status, ())


def test_no_status_is_an_empty_one(build: Any) -> None:
    nothings: tuple[Any, ...] = (None, {}, "", [])
    for nothing in nothings:
        status, complaints = read_status(nothing, "demo", build.uid, build.now)
        assert (status.attempt, status.conditions, complaints) == (None, (), ())


def test_a_time_in_the_future_is_taken_for_now(build: Any) -> None:
    attempt = build.attempt(stopTime="2999-01-01T00:00:00Z", stopReason="Suspended")
    status, (complaint,) = read(build, attempt=attempt)
    assert status.attempt.stop_time == build.ago(0)
    assert complaint.message == "status: attempt.stop_time is no time in the past; left out"


def test_names_of_others_are_replaced(build: Any) -> None:
    attempt = build.attempt(rayClusterName="theirs-1", submissionId="theirs-1")
    status, complaints = read(build, attempt=attempt, rayCluster={"name": "demo-99999-1"})
    assert status.attempt.ray_cluster_name == build.cluster_name
    assert status.attempt.submission_id == "demo-1"
    assert status.ray_cluster is None
    assert len(complaints) == 3


@given(
    st.dictionaries(st.sampled_from(["startTime", "completionTime", "rayCluster"]), VALUES),
    ATTEMPTS,
)
def test_whatever_is_read_is_the_jobs_own(
    build: Any, status: dict[str, Any], attempt: dict[str, Any]
) -> None:
    believed, _ = read(build, **status, attempt=attempt)
    again, complaints = read_status(believed.to_manifest(), "demo", build.uid, build.now)
    assert (again, complaints) == (believed, ())
    if believed.attempt is not None:
        assert believed.attempt.ray_cluster_name.startswith("demo-0f1e2-")
        assert believed.attempt.submission_id in (None, f"demo-{believed.attempt.number}")
