"""The one status write of a pass: only when something changed, and numbers not too often."""

import logging
import time
from typing import Any

from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator.announce import announce
from rlhf_operator.cache import JobKey
from rlhf_operator.clients.kubernetes import JOBS, Object
from rlhf_operator.context import Context
from rlhf_operator.state.status.build import is_transition

logger = logging.getLogger(__name__)


async def write_status(
    context: Context, key: JobKey, job: Object, new: RLHFJobStatus, now: str
) -> float | None:
    """Writes what changed; returns after how many seconds a change that waits is due.

    The write carries the resourceVersion that was judged, so it fails (Conflict) rather than
    undo what somebody wrote since.
    """
    raw_old = job.get("status") or {}
    old = RLHFJobStatus.from_manifest(raw_old)
    if new == old:
        return None
    wait = _wait(context, key, old, new)
    if wait > 0:
        return wait
    body = {
        "metadata": {"resourceVersion": job["metadata"]["resourceVersion"]},
        "status": merge_diff(raw_old, new.to_manifest()),
    }
    written = await context.kubernetes.merge_patch(JOBS, *key, body, subresource="status")
    context.memo.written[key] = time.monotonic()
    context.metrics.status_writes.inc()
    context.cache.put_job(written)
    if old.phase != new.phase:
        logger.info("phase=%s was=%s job=%s/%s", new.phase, old.phase, *key)
    await announce(context, job, old, new, now)
    return None


def _wait(context: Context, key: JobKey, old: RLHFJobStatus, new: RLHFJobStatus) -> float:
    if is_transition(old, new):
        return 0.0
    since = time.monotonic() - context.memo.written.get(key, float("-inf"))
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
