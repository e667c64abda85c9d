"""Why a driver failed: memory and lost workers are told from what pods and the driver say."""

import re

from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Pod, Trouble
from rlhf_operator.state.situation import Situation, is_usable

OUT_OF_MEMORY = re.compile(
    r"OutOfMemoryError|out of memory|OOMKilled|oom[-_]kill|memory pressure|running low on memory",
    re.IGNORECASE,
)
WORKER_LOST = re.compile(
    r"ActorDiedError|ActorUnavailableError|WorkerCrashedError|NodeDiedError|node .{0,80}died"
    r"|worker .{0,80}(lost|died)|is lost:",
    re.IGNORECASE,
)


def cause_of(situation: Situation, text: str) -> Trouble:
    """The likeliest cause: a container killed for memory, what the driver said, a lost worker."""
    for pod in situation.observed.pods:
        if pod.is_out_of_memory:
            where = describe(situation, pod)
            return Trouble(Reason.OUT_OF_MEMORY, f"{where} was killed for memory. {text}".strip())
    if OUT_OF_MEMORY.search(text):
        return Trouble(Reason.OUT_OF_MEMORY, text)
    lost = _lost_workers(situation)
    if WORKER_LOST.search(text) or lost:
        return Trouble(Reason.WORKER_LOST, "; ".join(part for part in (lost, text) if part))
    return Trouble(Reason.DRIVER_FAILED, text)


def describe(situation: Situation, pod: Pod) -> str:
    """`pod NAME (group GROUP: ROLES)`."""
    resolved = situation.observed.resolved
    groups = resolved.groups if resolved else ()
    roles = next((", ".join(group.roles) for group in groups if group.name == pod.group), "")
    return f"pod {pod.name} (group {pod.group}{': ' if roles else ''}{roles})"


def _lost_workers(situation: Situation) -> str:
    """Which worker groups lack pods, when any does."""
    away = [name for name in situation.missing_pods if name != "head"]
    leaving = [pod.name for pod in situation.observed.pods if not is_usable(pod)]
    if not away:
        return ""
    pods = f" (not ready: {', '.join(leaving)})" if leaving else ""
    return f"pods of group {', '.join(away)} were lost{pods}"
