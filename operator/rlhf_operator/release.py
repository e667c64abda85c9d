"""Frees what a job holds when its passes do not get that far.

The policies of `state` give a driver its grace and say what they do. Where a job can not be read,
or every pass over it fails, whatever the reason, this file sees to it that a deletion or a
suspension still ends: after grace and spare it deletes the job's RayClusters and, of a deleted job,
takes the finalizer off. It rests on the object's metadata alone.
"""

import logging
from typing import Any

from rlhf_operator import names
from rlhf_operator.cache import JobKey
from rlhf_operator.clients.api_errors import ApiError, Conflict, Invalid, NoSuchKind, NotFound
from rlhf_operator.clients.kubernetes import JOBS, RAY_CLUSTERS, Object
from rlhf_operator.context import Context
from rlhf_operator.ownership import own_clusters

logger = logging.getLogger(__name__)

DEFAULT_GRACE = 120.0
MAX_GRACE = 86_400.0


async def release_by_force(context: Context, key: JobKey, job: Object) -> None:
    """Ends a deletion or suspension of a job whose passes have failed for grace and spare."""
    since = context.memo.failing.setdefault(key, context.clock.monotonic())
    if context.clock.monotonic() - since < _grace(job) + context.settings.limits.spare:
        return
    is_deleted = "deletionTimestamp" in job["metadata"]
    spec = job.get("spec")
    if not is_deleted and not (isinstance(spec, dict) and spec.get("suspend") is True):
        return
    logger.warning("released by force job=%s/%s", *key)
    await _delete_clusters(context, key, job)
    if is_deleted:
        await remove_finalizer(context, key, job)


async def remove_finalizer(context: Context, key: JobKey, job: Object) -> Object | None:
    """Takes our finalizer off; the API server then collects the children. The newer object, or
    None when it is gone. Raises Conflict when other finalizers came or went.

    The patch names no resourceVersion: an edit of something else must not hold it up.
    """
    metadata = job["metadata"]
    finalizers = metadata.get("finalizers") or []
    kept = [name for name in finalizers if name != names.FINALIZER]
    if kept == finalizers:
        return job
    operations = [
        {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "test", "path": "/metadata/finalizers", "value": finalizers},
        {"op": "replace", "path": "/metadata/finalizers", "value": kept},
    ]
    try:
        return await context.kubernetes.json_patch(JOBS, key.namespace, key.name, operations)
    except NotFound:
        return None
    except Invalid as error:
        raise Conflict(409, "Conflict", error.message) from error


async def _delete_clusters(context: Context, key: JobKey, job: Object) -> None:
    """Deletes the job's RayClusters; what is refused here, the API server collects in the end."""
    cached = context.cache.children("rayclusters", key)
    for cluster in own_clusters(cached, key.name, str(job["metadata"].get("uid", ""))):
        metadata = cluster["metadata"]
        try:
            await context.kubernetes.delete(
                RAY_CLUSTERS, key.namespace, metadata["name"], metadata["uid"]
            )
        except (NotFound, NoSuchKind, Conflict):
            continue
        except ApiError as error:
            logger.warning("not deleted raycluster=%s %s", metadata["name"], error)


def _grace(job: Object) -> float:
    """The job's grace period, as far as it can be read."""
    value: Any = job.get("spec")
    for name in ("lifecycle", "gracePeriodSeconds"):
        value = value.get(name) if isinstance(value, dict) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return min(MAX_GRACE, max(0.0, float(value))) if is_number else DEFAULT_GRACE
