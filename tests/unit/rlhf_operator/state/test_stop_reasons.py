"""Why a live attempt must stop, each with its own patience."""

from typing import Any

from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.policies.deadline import seconds_left, why_out_of_time
from rlhf_operator.state.policies.stall import last_sign, why_out_of_touch, why_stalled
from rlhf_operator.state.policies.startup import why_not_started
from rlhf_operator.state.policies.suspend import why_to_suspend


def starting(build: Any, timeout: int = 50, **changes: Any) -> Any:
    """An attempt of a hundred seconds whose driver was not submitted."""
    waiting = [build.condition("Running", "False", "Starting", age=100).to_manifest()]
    begun = {"attempt": build.attempt(submissionId=None), "conditions": waiting}
    unseen = {"driver": None, "progress": None, "was_asked": False}
    spec = {"lifecycle": {"startupTimeoutSeconds": timeout}}
    return build.scene(spec=spec, status=begun | changes.pop("status", {}), **(unseen | changes))


def test_a_job_that_is_not_suspended_is_not_stopped(build: Any) -> None:
    assert why_to_suspend(build.scene()) is None
    assert why_to_suspend(build.scene(spec={"suspend": True})) is not None


def test_a_deadline_counts_what_earlier_attempts_held(build: Any) -> None:
    spec = {"lifecycle": {"activeDeadlineSeconds": 150}}
    assert why_out_of_time(build.scene(spec=spec)) is None
    assert seconds_left(build.scene(spec=spec)) == 50
    late = build.scene(spec=spec, status={"activeSeconds": 60})
    assert why_out_of_time(late) is not None
    assert seconds_left(build.scene()) is None


def test_a_late_start_is_told_with_what_the_pods_say(build: Any) -> None:
    pod = build.pod("all", is_ready=False, trouble=Trouble("Unschedulable", "0/3 nodes"))
    trouble = why_not_started(starting(build, pods=(build.pod("head"), pod)))
    assert trouble is not None
    assert trouble.reason == "StartupTimeout"
    assert "Unschedulable: 0/3 nodes" in trouble.message


def test_a_start_in_time_or_in_a_queue_is_waited_for(build: Any) -> None:
    assert why_not_started(starting(build, timeout=200)) is None
    queued = [build.condition("Queued", "True").to_manifest()]
    assert why_not_started(starting(build, status={"conditions": queued})) is None


def test_a_driver_that_runs_has_started(build: Any) -> None:
    scene = build.scene(spec={"lifecycle": {"startupTimeoutSeconds": 1}})
    assert why_not_started(scene) is None
    quiet = build.scene(
        spec={"lifecycle": {"startupTimeoutSeconds": 1}}, driver=None, silence="timeout"
    )
    assert why_not_started(quiet) is None


def test_progress_counts_from_the_last_sign(build: Any) -> None:
    spec = {"lifecycle": {"progressDeadlineSeconds": 30}}
    now = build.now.timestamp()
    moved = build.scene(spec=spec, progress=build.progress(last_update_time=now - 29))
    stuck = build.scene(spec=spec, progress=build.progress(last_update_time=now - 31))
    assert why_stalled(moved) is None
    assert why_stalled(stuck) is not None


def test_a_driver_that_never_moved_counts_from_when_it_ran(build: Any) -> None:
    scene = build.scene(progress=None)
    assert last_sign(scene) is not None
    assert why_stalled(build.scene(spec={"lifecycle": {"progressDeadlineSeconds": 59}})) is None
    hung = build.scene(spec={"lifecycle": {"progressDeadlineSeconds": 59}}, progress=None)
    assert why_stalled(hung) is not None


def test_progress_of_before_this_attempt_is_no_sign_of_a_stall(build: Any) -> None:
    old = build.progress(last_update_time=build.now.timestamp() - 9999)
    scene = build.scene(spec={"lifecycle": {"progressDeadlineSeconds": 120}}, progress=old)
    assert why_stalled(scene) is None


def test_silence_is_borne_for_a_while(build: Any) -> None:
    def silent(age: float) -> Any:
        unknown = [build.condition("Running", "Unknown", "ClusterUnreachable", age).to_manifest()]
        return build.scene(
            status={"conditions": unknown}, driver=None, progress=None, silence="timeout"
        )

    assert why_out_of_touch(silent(100)) is None
    trouble = why_out_of_touch(silent(200))
    assert trouble is not None
    assert "timeout" in trouble.message


def test_a_driver_that_answers_makes_a_dead_dashboard_harmless(build: Any) -> None:
    scene = build.scene(driver=None, silence="timeout")
    assert not scene.observed.is_silent
    assert why_out_of_touch(scene) is None
