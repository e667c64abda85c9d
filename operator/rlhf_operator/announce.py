"""Events on transitions: one for each condition that changed; none is posted twice."""

import hashlib
import logging
from collections.abc import Iterator

from openrlhf_core.spec.kinds.status import Condition, RLHFJobStatus
from rlhf_operator import names
from rlhf_operator.clients.api_errors import ApiError, Conflict
from rlhf_operator.clients.kubernetes import EVENTS, Object
from rlhf_operator.conditions import Reason, find
from rlhf_operator.context import Context

logger = logging.getLogger(__name__)

BAD_WHEN_TRUE = frozenset({"Failed", "Stalled"})
BAD_WHEN_FALSE = frozenset({"Validated"})
MILD_REASONS = frozenset(
    {Reason.CREATING, Reason.NO_ATTEMPT, Reason.PODS_NOT_READY, Reason.WAITING_FOR_QUOTA}
)
TOLD_AGAIN = frozenset({"Validated", "ClusterReady", "Running"})
"""Conditions of which a new reason is news even when the status stays."""

MAX_MESSAGE = 1000


def transitions(old: RLHFJobStatus, new: RLHFJobStatus) -> Iterator[Condition]:
    """Conditions whose status changed, of some also the reason. What is first said as not so is no
    news."""
    for condition in new.conditions:
        before = find(old.conditions, condition.type)
        if before is None and condition.status == "False" and condition.type != "Validated":
            continue
        is_turned = before is None or before.status != condition.status
        is_told_again = before is not None and before.reason != condition.reason
        if is_turned or (is_told_again and condition.type in TOLD_AGAIN):
            yield condition


def is_warning(condition: Condition) -> bool:
    """Whether a person should look."""
    if condition.type == "ClusterReady" and condition.status == "False":
        return condition.reason not in MILD_REASONS
    bad = BAD_WHEN_TRUE if condition.status == "True" else BAD_WHEN_FALSE
    return condition.type in bad or condition.status == "Unknown"


def event_about(job: Object, condition: Condition) -> Object:
    """The event that says a transition; the same transition gives the same name."""
    metadata = job["metadata"]
    said = (metadata["uid"], condition.type, condition.reason, condition.last_transition_time)
    digest = hashlib.sha256("/".join(said).encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion"),
        },
        "type": "Warning" if is_warning(condition) else "Normal",
        "reason": condition.reason,
        "message": f"{condition.type}={condition.status}: {condition.message}".strip(": ")[
            :MAX_MESSAGE
        ],
        "source": {"component": names.OPERATOR_NAME},
        "count": 1,
    }


async def announce(
    context: Context, job: Object, old: RLHFJobStatus, new: RLHFJobStatus, now: str
) -> None:
    """Posts the events of a status write. Events are news, not state: a lost one is only logged."""
    for condition in transitions(old, new):
        event = event_about(job, condition) | {"firstTimestamp": now, "lastTimestamp": now}
        try:
            await context.kubernetes.create(EVENTS, job["metadata"]["namespace"], event)
        except Conflict:
            continue
        except ApiError as error:
            logger.warning("event not posted job=%s %s", job["metadata"]["name"], error)
