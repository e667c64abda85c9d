"""The one status write of a pass: only when something changed, and numbers not too often.

The API server may refuse a status: a value that its CRD does not allow, an admission policy, a
right that is missing. Then the part of the status that decisions rest on is written alone, with a
condition that says so. Where that is refused as well, the status is kept in memory, so that a stop
or a deletion goes on all the same.
"""

import logging
from dataclasses import dataclass
from typing import Any

from openrlhf_core.spec.kinds.status import Condition, RLHFJobStatus
from rlhf_operator.announce import announce
from rlhf_operator.cache import JobKey
from rlhf_operator.clients.api_errors import ApiError, Conflict
from rlhf_operator.clients.kubernetes import JOBS, Object
from rlhf_operator.conditions import Reason, with_condition
from rlhf_operator.context import Context, Refusal
from rlhf_operator.state.status.build import is_transition
from rlhf_operator.untrusted import clean_text

logger = logging.getLogger(__name__)

REFUSED = frozenset({400, 403, 413, 422})
REFUSED_SECONDS = 300.0
"""How long only the essential status is written after a refusal."""
MAX_TRIES = 4
MAX_MESSAGE = 1000
SHORT_MESSAGE = 200


@dataclass(frozen=True)
class StatusChange:
    """What a pass wants to write about a job."""

    job: Object
    """The job as it was judged."""
    old: RLHFJobStatus
    new: RLHFJobStatus
    now: str
    is_urgent: bool = False
    """Write at once, also what is no transition."""


async def write_status(context: Context, key: JobKey, change: StatusChange) -> float | None:
    """Writes what changed; returns after how many seconds a change that waits is due.

    Raises Conflict when the job that was judged is no longer the newest.
    """
    if not merge_diff(change.job.get("status") or {}, change.new.to_manifest()):
        context.memo.unwritten.pop(key, None)
        return None
    wait = _wait(context, key, change)
    if wait > 0:
        return wait
    refusal = context.memo.refusals.get(key)
    if refusal is not None and context.clock.monotonic() - refusal.since < REFUSED_SECONDS:
        await _write_essential(context, key, change, refusal.message)
        return None
    try:
        await _write(context, key, change)
    except ApiError as error:
        if error.status not in REFUSED:
            raise
        logger.warning("status refused job=%s/%s %s", *key, error)
        message = clean_text(error.message, MAX_MESSAGE)
        context.memo.refusals[key] = Refusal(context.clock.monotonic(), message)
        await _write_essential(context, key, change, error.message)
    return None


def essential(status: RLHFJobStatus, condition: Condition) -> RLHFJobStatus:
    """The part that decisions rest on, with short messages, and one condition more."""
    conditions = tuple(
        known.changed(message=clean_text(known.message, SHORT_MESSAGE))
        for known in status.conditions
    )
    return RLHFJobStatus(
        observed_generation=status.observed_generation,
        phase=status.phase,
        conditions=with_condition(conditions, condition),
        start_time=status.start_time,
        completion_time=status.completion_time,
        active_seconds=status.active_seconds,
        attempt=status.attempt,
        restarts=status.restarts,
        preemptions=status.preemptions,
        ray_cluster=status.ray_cluster,
    )


def degraded(reason: Reason, message: str, generation: int | None, now: str) -> Condition:
    """Degraded=True."""
    return Condition(
        type="Degraded",
        status="True",
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=now,
    )


async def _write_essential(
    context: Context, key: JobKey, change: StatusChange, message: str
) -> None:
    """Writes the essential status; keeps the status in memory when that is refused too."""
    said = f"the API server refused the status, so only a part of it is kept here: {message}"
    generation = change.job["metadata"].get("generation")
    condition = degraded(
        Reason.STATUS_REFUSED, clean_text(said, MAX_MESSAGE), generation, change.now
    )
    short = StatusChange(change.job, change.old, essential(change.new, condition), change.now)
    try:
        await _write(context, key, short)
    except ApiError as error:
        if error.status not in REFUSED:
            raise
        logger.warning("essential status refused job=%s/%s %s", *key, error)
        context.memo.unwritten[key] = (str(change.job["metadata"].get("uid")), change.new)


async def _write(context: Context, key: JobKey, change: StatusChange) -> None:
    """One patch of the status. It carries the resourceVersion of the job that was judged, so it
    fails (Conflict) rather than undo what somebody wrote since. A change that decides nothing, as
    of an annotation, does not matter."""
    job = change.job
    patch = merge_diff(job.get("status") or {}, change.new.to_manifest())
    if not patch:
        return
    for tries in range(MAX_TRIES):
        version = job["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "status": patch}
        try:
            written = await context.kubernetes.merge_patch(JOBS, *key, body, subresource="status")
        except Conflict:
            newest = await context.kubernetes.get(JOBS, *key)
            context.cache.put_job(newest)
            if tries == MAX_TRIES - 1 or not _is_judged_alike(job, newest):
                raise
            job = newest
        else:
            break
    context.memo.unwritten.pop(key, None)
    context.memo.written[key] = context.clock.monotonic()
    context.metrics.status_writes.inc()
    context.cache.put_job(written)
    if change.old.phase != change.new.phase:
        logger.info("phase=%s was=%s job=%s/%s", change.new.phase, change.old.phase, *key)
    await announce(context, written, change.old, change.new, change.now)


def _is_judged_alike(judged: Object, newest: Object) -> bool:
    """Whether two versions of a job differ in nothing that a decision rests on."""
    fields = ("uid", "generation", "deletionTimestamp", "finalizers")
    is_same = all(judged["metadata"].get(name) == newest["metadata"].get(name) for name in fields)
    return is_same and judged.get("status") == newest.get("status")


def _wait(context: Context, key: JobKey, change: StatusChange) -> float:
    if change.is_urgent or is_transition(change.old, change.new):
        return 0.0
    since = context.clock.monotonic() - context.memo.written.get(key, float("-inf"))
    return max(0.0, context.settings.limits.status - since)


def merge_diff(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that makes `old` into `new`: what is gone becomes null.

    merge_diff({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 2}}) == {"a": None, "b": {"d": None}}
    """
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = merge_diff(before, value)
            if inner:
                patch[name] = inner
        elif value != before:
            patch[name] = value
    return patch
