"""Which end of an attempt leads to which retry.

| what is seen                                    | end     | what follows |
|-------------------------------------------------|---------|--------------|
| Ray job SUCCEEDED                               | DONE    | Complete |
| exit code 2 (configuration), 30 (non-finite)    | FATAL   | Failed, never retried |
| exit code 20 (stopped with a checkpoint)        | YIELDED | another attempt, not counted |
| any other exit code, STOPPED by somebody else   | LOST    | another attempt, counted |
| RayCluster or head is gone, or forgot the job   | LOST    | another attempt, counted |
| the same while pods are evicted                 | YIELDED | another attempt, not counted |
| the RayCluster is suspended by a queue          | YIELDED | another attempt, not counted |

`lifecycle.backoffLimit` bounds the counted attempts. The exit codes are those of
`openrlhf_core.spec.exit_codes`. `cause` says why a driver was lost, `next_attempt` when and where
the next attempt begins.
"""

from dataclasses import dataclass
from enum import Enum

from openrlhf_core.spec.exit_codes import ExitCode
from openrlhf_core.spec.kinds.status import RayClusterStatus
from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Driver
from rlhf_operator.state.policies.cause import cause_of
from rlhf_operator.state.situation import Situation

FATAL_EXITS: dict[int | None, Reason] = {
    ExitCode.CONFIGURATION: Reason.CONFIGURATION_REJECTED,
    ExitCode.NON_FINITE: Reason.NON_FINITE,
}


class End(Enum):
    """How an attempt ended, by what follows."""

    DONE = "done"
    FATAL = "fatal"
    LOST = "lost"
    YIELDED = "yielded"


@dataclass(frozen=True)
class Outcome:
    """The end of an attempt."""

    end: End
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
        return Outcome(End.DONE, Reason.DONE, "training is done", 0)
    if driver.status == "STOPPED":
        message = "the Ray job was stopped by somebody else than the operator"
        return Outcome(End.LOST, Reason.STOPPED_BY_OTHERS, message)
    code = exit_code_of(driver)
    if code in FATAL_EXITS:
        message = f"the driver exited with code {code}: {driver.text}"
        return Outcome(End.FATAL, FATAL_EXITS[code], message, code)
    if code == ExitCode.STOPPED:
        message = "the driver was asked to stop, by a pod that was taken away or by hand"
        return Outcome(End.YIELDED, Reason.PREEMPTED, message, code)
    cause = cause_of(situation, driver)
    exited = "the driver died" if code is None else f"the driver exited with code {code}"
    return Outcome(End.LOST, cause.reason, f"{exited}; {cause.message}", code)


def exit_code_of(driver: Driver) -> int | None:
    """What the driver said, else what Ray saw; None when neither is known."""
    return driver.exit_code if driver.last_words is None else driver.last_words.exit_code


def _loss(situation: Situation) -> Outcome | None:
    """The loss of a cluster or a head, and of the driver with it."""
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
    """Another head, no head, or a head that does not know the job: the driver is gone."""
    observed, head = situation.observed, situation.observed.head
    if head is None or head.uid != known.head_pod_uid:
        return _lost(situation, f"head pod {known.head_pod_name} is gone, and the driver with it")
    has_answered = situation.is_submitted and observed.was_asked and observed.silence is None
    if has_answered and observed.driver is None:
        return _lost(situation, f"the head of {known.name} was restarted and lost the driver")
    return None


def _lost(situation: Situation, message: str) -> Outcome:
    if any(pod.is_disrupted for pod in situation.observed.pods):
        return Outcome(End.YIELDED, Reason.PREEMPTED, f"{message}: its node was taken away")
    cause = cause_of(situation, None)
    if cause.reason == Reason.OUT_OF_MEMORY:
        return Outcome(End.LOST, cause.reason, f"{message}; {cause.message}")
    return Outcome(End.LOST, Reason.CLUSTER_LOST, message)


def _preemption(situation: Situation) -> Outcome | None:
    """A queue suspended the cluster. The attempt ends when the last pod is gone: until then the
    driver has its grace, and the next attempt must not overlap it."""
    if not situation.is_submitted or situation.observed.pods:
        return None
    return Outcome(End.YIELDED, Reason.PREEMPTED, "the queue took the pods back")
