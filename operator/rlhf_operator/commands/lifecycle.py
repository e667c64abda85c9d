"""`rlhf suspend, resume, cancel`: one change of a job each, the same when said twice."""

import time
from collections.abc import Callable

from openrlhf_core.spec.exit_codes import ConfigurationError
from rlhf_operator.commands.cluster import Cluster, NotFoundError
from rlhf_operator.commands.job_view import JobView
from rlhf_operator.commands.status import job_changes


def suspend(cluster: Cluster, name: str) -> str:
    """Asks for a checkpoint and for the pods to go; says what will happen."""
    job = JobView.of(cluster.job(name))
    if job.outcome:
        raise ConfigurationError(
            f"rlhfjob {name} has ended ({job.phase}): there is nothing to suspend"
        )
    if job.spec.get("suspend"):
        return f"{name} is suspended already"
    cluster.patch_job(name, {"spec": {"suspend": True}})
    return f"{name} commits a checkpoint and frees its pods; `rlhf resume {name}` continues it"


def resume(cluster: Cluster, name: str) -> str:
    """Lets a suspended job run again, from its newest checkpoint."""
    job = JobView.of(cluster.job(name))
    if not job.spec.get("suspend"):
        return f"{name} is not suspended"
    cluster.patch_job(name, {"spec": {"suspend": False}})
    latest = job.status.checkpoints.latest if job.status.checkpoints else None
    start = f"continues from step {latest.step}" if latest else "starts from the beginning"
    return f"{name} {start}; `rlhf status -w {name}` follows it"


def cancel(cluster: Cluster, name: str) -> str:
    """Deletes the job; its pods stop with a checkpoint, its output claim stays."""
    job = JobView.of(cluster.job(name))
    path = cluster.jobs_path(name)
    cluster.send("DELETE", path, f"rlhfjob {name}", {"propagationPolicy": "Background"})
    output = job.status.output
    kept = f"; claim {output.claim_name} keeps {output.path}" if output else ""
    return f"{name} is deleted{kept}"


def wait_until_suspended(cluster: Cluster, name: str, timeout_seconds: float) -> None:
    """Returns when the job's pods are gone; ConfigurationError when that takes too long."""
    deadline = time.monotonic() + timeout_seconds
    for job in job_changes(cluster, name):
        condition = job.condition("Suspended")
        if condition is not None and condition.status == "True":
            return
        if time.monotonic() > deadline:
            break
    raise ConfigurationError(
        f"rlhfjob {name} is not suspended after {timeout_seconds:.0f} s; `rlhf status {name}` says "
        "what it waits for"
    )


def wait_until_gone(
    cluster: Cluster,
    name: str,
    timeout_seconds: float,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Returns when the object is gone; ConfigurationError when that takes too long."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            cluster.job(name)
        except NotFoundError:
            return
        sleep(1.0)
    raise ConfigurationError(
        f"rlhfjob {name} is still being deleted after {timeout_seconds:.0f} s; its finalizer is "
        "the operator's: is the operator running? (`rlhf doctor`)"
    )
