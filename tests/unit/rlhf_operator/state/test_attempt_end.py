"""How attempts end: exit codes, losses, preemptions, and why."""

from typing import Any

import pytest

from openrlhf_core.spec.exit_codes import Cause
from openrlhf_core.spec.last_words import LastWords
from rlhf_operator.state.observed import Cluster, Driver, Group, Resolved
from rlhf_operator.state.policies.attempt_end import conclude, seconds_held, shorten
from rlhf_operator.state.policies.cause import REASON_OF
from rlhf_operator.state.policies.retry import End, Outcome, outcome_of


def test_a_driver_at_work_has_no_outcome(build: Any) -> None:
    assert outcome_of(build.scene()) is None


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (2, End.FATAL, "ConfigurationRejected"),
        (30, End.FATAL, "NonFinite"),
        (20, End.YIELDED, "Preempted"),
        (10, End.LOST, "DriverFailed"),
        (130, End.LOST, "DriverFailed"),
        (None, End.LOST, "DriverFailed"),
    ],
)
def test_exit_codes_mean_what_the_contract_says(
    build: Any, code: int | None, kind: End, reason: str
) -> None:
    outcome = outcome_of(build.scene(driver=Driver("FAILED", code)))
    assert outcome is not None
    assert (outcome.end, str(outcome.reason), outcome.exit_code) == (kind, reason, code)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ray.exceptions.OutOfMemoryError: Task was killed", "OutOfMemory"),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory", "OutOfMemory"),
        ("ray.exceptions.ActorDiedError: The actor died", "WorkerLost"),
        ("ActorDiedError. Some common causes include: the OOM killer", "WorkerLost"),
        ("KeyError: 'x'", "DriverFailed"),
    ],
)
def test_the_log_of_a_driver_without_last_words_is_searched(
    build: Any, text: str, reason: str
) -> None:
    outcome = outcome_of(build.scene(driver=Driver("FAILED", 10, last_lines=text)))
    assert outcome is not None
    assert str(outcome.reason) == reason
    assert text in outcome.message


@pytest.mark.parametrize(
    ("code", "cause", "kind", "reason"),
    [
        (2, "Configuration", End.FATAL, "ConfigurationRejected"),
        (10, "WorkerLost", End.LOST, "WorkerLost"),
        (10, "OutOfMemory", End.LOST, "OutOfMemory"),
        (10, "CollectiveTimeout", End.LOST, "CollectiveTimeout"),
        (10, "Unforeseen", End.LOST, "DriverFailed"),
        (20, "Stopped", End.YIELDED, "Preempted"),
        (30, "NonFinite", End.FATAL, "NonFinite"),
    ],
)
def test_last_words_name_the_cause(
    build: Any, code: int, cause: str, kind: End, reason: str
) -> None:
    words = LastWords(exit_code=code, cause=Cause(cause), message="rank 1 of 2")
    driver = Driver("FAILED", None, "Ray's words", "CUDA out of memory", words)
    outcome = outcome_of(build.scene(driver=driver))
    assert outcome is not None
    assert (outcome.end, str(outcome.reason), outcome.exit_code) == (kind, reason, code)
    assert "out of memory" not in outcome.message, "the log is not searched"
    assert kind is End.YIELDED or "rank 1 of 2" in outcome.message


def test_every_error_of_a_run_has_a_reason() -> None:
    assert set(REASON_OF) == set(Cause)


def test_a_timeout_among_workers_of_which_one_is_gone_is_a_lost_worker(build: Any) -> None:
    words = LastWords(exit_code=10, cause=Cause.COLLECTIVE_TIMEOUT, message="no answer in time")
    resolved = Resolved((Group("all", 2),), 2, "h", 1, "c", "p")
    driver = Driver("FAILED", 10, last_words=words)
    outcome = outcome_of(build.scene(driver=driver, resolved=resolved))
    assert outcome is not None
    assert outcome.reason == "WorkerLost"
    assert "no answer in time" in outcome.message


def test_a_container_killed_for_memory_is_named_with_its_roles(build: Any) -> None:
    pods = (build.pod("head"), build.pod("all", is_out_of_memory=True))
    outcome = outcome_of(build.scene(driver=Driver("FAILED", 10), pods=pods))
    assert outcome is not None
    assert outcome.reason == "OutOfMemory"
    assert "pod demo-0f1e2-1-all-0 (group all: Policy, Rollout)" in outcome.message


def test_lost_workers_are_named_by_group(build: Any) -> None:
    resolved = Resolved((Group("all", 2),), 2, "h", 1, "c", "p")
    outcome = outcome_of(build.scene(driver=Driver("FAILED", 10), resolved=resolved))
    assert outcome is not None
    assert outcome.reason == "WorkerLost"
    assert "group all" in outcome.message


def test_a_head_that_is_another_one_took_the_driver_with_it(build: Any) -> None:
    outcome = outcome_of(build.scene(pods=(build.pod("head", uid="another"),), driver=None))
    assert outcome is not None
    assert outcome.reason == "ClusterLost"


def test_a_head_that_was_killed_for_memory_says_so(build: Any) -> None:
    pods = (build.pod("head", is_out_of_memory=True), build.pod())
    outcome = outcome_of(build.scene(pods=pods, driver=None))
    assert outcome is not None
    assert outcome.reason == "OutOfMemory"


def test_pods_that_are_evicted_do_not_count(build: Any) -> None:
    pods = (build.pod("all", is_disrupted=True),)
    outcome = outcome_of(build.scene(pods=pods, driver=None))
    assert outcome is not None
    assert outcome.end is End.YIELDED


def test_a_silent_head_is_no_loss(build: Any) -> None:
    assert outcome_of(build.scene(driver=None, silence="timeout")) is None


def test_a_queue_has_taken_the_pods_when_the_last_is_gone(build: Any) -> None:
    taken = Cluster(build.cluster_name, "cluster-1", is_suspended=True)
    assert outcome_of(build.scene(cluster=taken, driver=None, silence="x")) is None
    outcome = outcome_of(build.scene(cluster=taken, driver=None, silence="x", pods=()))
    assert outcome is not None
    assert (outcome.end, outcome.reason) == (End.YIELDED, "Preempted")


def test_preemptions_are_counted_apart(build: Any) -> None:
    changes = conclude(build.scene(), Outcome(End.YIELDED, "Preempted")).changes
    assert changes.preemptions == 1
    assert changes.restarts is None
    assert changes.failures is None
    assert conclude(build.scene(), Outcome(End.YIELDED, "Suspended")).changes.preemptions == 0


def test_five_failures_are_kept_and_each_is_bounded(build: Any) -> None:
    failures = [{"time": build.ago(number), "reason": f"R{number}"} for number in range(5)]
    situation = build.scene(status={"failures": failures})
    kept = conclude(situation, Outcome(End.LOST, "New", "x" * 5000, 10)).changes.failures
    assert kept is not None
    assert [failure.reason for failure in kept] == ["R1", "R2", "R3", "R4", "New"]
    assert len(kept[-1].message) <= 1024


def test_time_held_leaves_out_the_queue(build: Any) -> None:
    assert seconds_held(build.scene()) == 100
    free = [build.condition("Queued", "False", age=40).to_manifest()]
    assert seconds_held(build.scene(status={"conditions": free})) == 40
    queued = [build.condition("Queued", "True", age=40).to_manifest()]
    assert seconds_held(build.scene(status={"conditions": queued})) == 0


def test_time_held_adds_up_over_attempts(build: Any) -> None:
    situation = build.scene(status={"activeSeconds": 1000})
    step = conclude(situation, Outcome(End.LOST, "DriverFailed"))
    assert step.changes.active_seconds == 1100


def test_a_long_text_keeps_its_head_and_its_tail() -> None:
    text = "begin" + "x" * 3000 + "end"
    short = shorten(text)
    assert len(short) <= 1000
    assert short.startswith("begin")
    assert short.endswith("end")
    assert shorten("short") == "short"
