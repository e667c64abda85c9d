"""How an attempt ended, if it did: exit codes, lost pods, a head that forgot its job.

| what is seen                              | kind    | counts against backoffLimit |
|-------------------------------------------|---------|------|
| Ray job SUCCEEDED                         | Done    |      |
| exit 2 (configuration), 30 (non-finite)   | Fatal   |      |
| exit 20 (stopped with a checkpoint)       | Yielded | no   |
| any other exit, STOPPED by somebody       | Lost    | yes  |
| RayCluster or head gone, job unknown      | Lost    | yes  |
| the same while pods are evicted           | Yielded | no   |
| RayCluster suspended by a queue           | Yielded | no   |
"""

from dataclasses import dataclass
from enum import Enum

from openrlhf_core.spec.exit_codes import ExitCode
from openrlhf_core.spec.kinds.status import RayClusterStatus
from rlhf_operator.conditions import Reason
from rlhf_operator.state.cause import cause_of
from rlhf_operator.state.observed import Driver
from rlhf_operator.state.situation import Situation

FATAL_EXITS: dict[int | None, Reason] = {
    ExitCode.CONFIGURATION: Reason.CONFIGURATION_REJECTED,
    ExitCode.NON_FINITE: Reason.NON_FINITE,
}


class Kind(Enum):
    """What follows: the end of the job, or another attempt."""

    DONE = "done"
    FATAL = "fatal"
    LOST = "lost"
    YIELDED = "yielded"


@dataclass(frozen=True)
class Outcome:
    """The end of an attempt."""

    kind: Kind
    reason: Reason | str
    message: str = ""
    exit_code: int | None = None


def outcome_of(situation: Situation) -> Outcome | None:
    """How the live attempt ended by itself, or None while it lives."""
    driver = situation.observed.driver
    if driver is not None and driver.is_over:
        return _outcome_of_driver(situation, driver)
    return _loss(situation)


def _outcome_of_driver(situation: Situation, driver: Driver) -> Outcome:
    if driver.status == "SUCCEEDED":
        return Outcome(Kind.DONE, Reason.DONE, "training is done", 0)
    if driver.status == "STOPPED":
        message = "the Ray job was stopped by somebody else than the operator"
        return Outcome(Kind.LOST, Reason.STOPPED_BY_OTHERS, message)
    code = exit_code_of(driver)
    if code in FATAL_EXITS:
        message = f"the driver exited with code {code}: {driver.text}"
        return Outcome(Kind.FATAL, FATAL_EXITS[code], message, code)
    if code == ExitCode.STOPPED:
        message = "the driver was asked to stop, by a pod that was taken away or by hand"
        return Outcome(Kind.YIELDED, Reason.PREEMPTED, message, code)
    cause = cause_of(situation, driver)
    exited = "the driver died" if code is None else f"the driver exited with code {code}"
    return Outcome(Kind.LOST, cause.reason, f"{exited}; {cause.message}", code)


def exit_code_of(driver: Driver) -> int | None:
    """What the driver said, else what Ray saw; None when neither is known."""
    return driver.exit_code if driver.last_words is None else driver.last_words.exit_code


def _loss(situation: Situation) -> Outcome | None:
    """What took the attempt away without a word from the driver."""
    cluster, known = situation.observed.cluster, situation.status.ray_cluster
    if known is None or known.uid is None:
        return None
    if cluster is None or cluster.uid != known.uid:
        return _lost(situation, f"RayCluster {known.name} is gone")
    if cluster.is_suspended:
        return _preemption(situation)
    if known.head_pod_uid is None or cluster.is_deleting:
        return None
    return _head_loss(situation, known)


def _head_loss(situation: Situation, known: RayClusterStatus) -> Outcome | None:
    """Another head, or none, or one that has never heard of the job: the driver is gone."""
    observed, head = situation.observed, situation.observed.head
    if head is None or head.uid != known.head_pod_uid:
        return _lost(situation, f"head pod {known.head_pod_name} is gone, and the driver with it")
    has_answered = situation.is_submitted and observed.was_asked and observed.silence is None
    if has_answered and observed.driver is None:
        return _lost(situation, f"the head of {known.name} was restarted and lost the driver")
    return None


def _lost(situation: Situation, message: str) -> Outcome:
    if any(pod.is_disrupted for pod in situation.observed.pods):
        return Outcome(Kind.YIELDED, Reason.PREEMPTED, f"{message}: its node was taken away")
    cause = cause_of(situation, None)
    if cause.reason == Reason.OUT_OF_MEMORY:
        return Outcome(Kind.LOST, cause.reason, f"{message}; {cause.message}")
    return Outcome(Kind.LOST, Reason.CLUSTER_LOST, message)


def _preemption(situation: Situation) -> Outcome | None:
    """A queue took the pods back. The attempt is over when the last of them is gone, so that its
    driver has its grace and never meets the next one."""
    if not situation.is_submitted or situation.observed.pods:
        return None
    return Outcome(Kind.YIELDED, Reason.PREEMPTED, "the queue took the pods back")
