"""The next attempt: when, on which cluster, and never beside the last one."""

from typing import Any

import pytest

from rlhf_operator.state.decide import decide
from rlhf_operator.state.observed import Cluster
from rlhf_operator.state.policies.next_attempt import backoff_seconds, may_reuse
from rlhf_operator.state.step import DeleteCluster, EnsureFinalizer


def ended(build: Any, **changes: Any) -> Any:
    """A situation whose attempt failed a minute ago."""
    failure = {"time": build.ago(60), "reason": "DriverFailed"}
    status = {
        "attempt": build.attempt(endTime=build.ago(60), **changes.pop("attempt", {})),
        "failures": [failure],
        "restarts": 1,
    } | changes.pop("status", {})
    return build.scene(status=status, driver=None, progress=None, **changes)


def test_a_first_failure_is_retried_on_the_same_healthy_cluster(build: Any) -> None:
    decision = decide(ended(build))
    attempt = decision.status.attempt
    assert attempt is not None
    assert decision.acts == (EnsureFinalizer(),)
    assert (attempt.number, attempt.ray_cluster_name) == (2, build.cluster_name)
    assert attempt.submission_id is None


def test_the_second_failure_in_a_row_gets_a_new_cluster(build: Any) -> None:
    situation = ended(build, attempt={"number": 2, "submissionId": "demo-2"})
    assert not may_reuse(situation)
    assert decide(situation).acts == (DeleteCluster(build.cluster_name, "cluster-1"),)


def test_a_new_cluster_is_begun_only_when_nothing_of_the_old_one_is_left(build: Any) -> None:
    second = {"number": 2, "submissionId": "demo-2"}
    leaving = Cluster(build.cluster_name, "cluster-1", is_deleting=True)
    waiting = decide(ended(build, attempt=second, cluster=leaving))
    assert waiting.acts == ()
    assert waiting.status.attempt is not None
    assert waiting.status.attempt.number == 2
    pods_left = ended(build, attempt=second, cluster=None)
    assert decide(pods_left).status.attempt == pods_left.attempt
    clean = decide(ended(build, attempt=second, cluster=None, pods=()))
    assert clean.status.attempt is not None
    assert clean.status.attempt.number == 3
    assert clean.status.attempt.ray_cluster_name == "demo-0f1e2-3"


@pytest.mark.parametrize("reason", ["Stalled", "StartupTimeout", "ClusterUnreachable"])
def test_what_was_wrong_with_the_cluster_is_not_kept(build: Any, reason: str) -> None:
    assert not may_reuse(ended(build, attempt={"stopReason": reason}))


def test_another_head_or_none_is_not_kept(build: Any) -> None:
    assert not may_reuse(ended(build, pods=()))
    assert not may_reuse(ended(build, pods=(build.pod("head", uid="another"),)))
    assert not may_reuse(ended(build, pods=(build.pod("head", is_deleting=True),)))
    assert may_reuse(ended(build, pods=(build.pod("head"),)))


def test_a_cluster_that_its_queue_took_back_is_waited_for(build: Any) -> None:
    queued = Cluster(build.cluster_name, "cluster-1", is_suspended=True)
    situation = ended(build, cluster=queued, pods=(), status={"failures": [], "restarts": 0})
    decision = decide(situation)
    assert may_reuse(situation)
    assert backoff_seconds(situation) == 0
    assert decision.status.ray_cluster is not None
    assert decision.status.ray_cluster.head_pod_uid is None
    assert decision.status.phase == "Queued"


def test_backoff_doubles_with_each_retry_up_to_ten_minutes(build: Any) -> None:
    # 10 s doubled: 10, 20, 40, ... and never above 600.
    for restarts, seconds in ((1, 10), (2, 20), (3, 40), (7, 600), (60, 600)):
        assert backoff_seconds(ended(build, status={"restarts": restarts})) == seconds


def test_nothing_begins_before_the_backoff_is_over(build: Any) -> None:
    situation = ended(build, spec={"lifecycle": {"backoffSeconds": 90}})
    decision = decide(situation)
    assert decision.acts == ()
    assert decision.requeue_seconds == 30
    assert decision.status.phase == "Restarting"


def test_a_suspension_is_no_failure_and_waits_for_nothing(build: Any) -> None:
    situation = ended(
        build,
        attempt={"stopReason": "Suspended"},
        status={"failures": [], "restarts": 0},
    )
    assert backoff_seconds(situation) == 0
