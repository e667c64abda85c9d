"""Why a driver failed: what kubelets say of its pods, then its own last words.

Only a driver that died without last words has its log searched for a cause.
"""

import re

from openrlhf_core.spec.exit_codes import Cause
from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Driver, Pod, Trouble
from rlhf_operator.state.situation import Situation, is_usable

REASON_OF: dict[Cause, Reason] = {
    Cause.CONFIGURATION: Reason.CONFIGURATION_REJECTED,
    Cause.WORKER_LOST: Reason.WORKER_LOST,
    Cause.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    Cause.COLLECTIVE_TIMEOUT: Reason.COLLECTIVE_TIMEOUT,
    Cause.NON_FINITE: Reason.NON_FINITE,
    Cause.STOPPED: Reason.PREEMPTED,
    Cause.UNFORESEEN: Reason.DRIVER_FAILED,
}
CONSEQUENCES = frozenset({Reason.DRIVER_FAILED, Reason.COLLECTIVE_TIMEOUT})
"""Reasons that a lost worker may lie behind, without the driver's knowing it."""

OUT_OF_MEMORY = re.compile(
    r"OutOfMemoryError|out of memory|OOMKilled|oom[-_]kill|memory pressure|running low on memory",
    re.IGNORECASE,
)
WORKER_LOST = re.compile(
    r"ActorDiedError|ActorUnavailableError|WorkerCrashedError|NodeDiedError", re.IGNORECASE
)
"""Ray's own exceptions, as a traceback names them."""


def cause_of(situation: Situation, driver: Driver | None) -> Trouble:
    """The likeliest cause of the end of `driver`; None is a driver whose head is gone."""
    text = driver.text if driver is not None else ""
    for pod in situation.observed.pods:
        if pod.is_out_of_memory:
            where = describe(situation, pod)
            return Trouble(Reason.OUT_OF_MEMORY, f"{where} was killed for memory. {text}".strip())
    reason, lost = _told_reason(driver, text), _lost_workers(situation)
    if reason in CONSEQUENCES and lost:
        reason = Reason.WORKER_LOST
    words = (lost, text) if reason is Reason.WORKER_LOST else (text,)
    return Trouble(reason, "; ".join(part for part in words if part))


def describe(situation: Situation, pod: Pod) -> str:
    """`pod NAME (group GROUP: ROLES)`."""
    resolved = situation.observed.resolved
    groups = resolved.groups if resolved else ()
    roles = next((", ".join(group.roles) for group in groups if group.name == pod.group), "")
    return f"pod {pod.name} (group {pod.group}{': ' if roles else ''}{roles})"


def _told_reason(driver: Driver | None, text: str) -> Reason:
    """What the driver said; of a driver without last words, what its log shows."""
    if driver is not None and driver.last_words is not None:
        return REASON_OF[driver.last_words.cause]
    if OUT_OF_MEMORY.search(text):
        return Reason.OUT_OF_MEMORY
    return Reason.WORKER_LOST if WORKER_LOST.search(text) else Reason.DRIVER_FAILED


def _lost_workers(situation: Situation) -> str:
    """Which worker groups lack pods, when any does."""
    away = [name for name in situation.missing_pods if name != "head"]
    leaving = [pod.name for pod in situation.observed.pods if not is_usable(pod)]
    if not away:
        return ""
    pods = f" (not ready: {', '.join(leaving)})" if leaving else ""
    return f"pods of group {', '.join(away)} were lost{pods}"
