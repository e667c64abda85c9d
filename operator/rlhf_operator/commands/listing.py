"""`rlhf list`: the jobs of a namespace or of all."""

from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from rlhf_operator.commands.cluster import Cluster
from rlhf_operator.commands.job_view import JobView, age

COLUMNS = ("NAME", "PHASE", "ALGORITHM", "STEP", "REWARD", "RESTARTS", "DEVICES", "AGE")


def print_list(cluster: Cluster, console: Console, *, everywhere: bool) -> None:
    """One line a job, oldest first; says so where there is none."""
    jobs = sorted(map(JobView.of, cluster.jobs(everywhere=everywhere)), key=lambda job: job.created)
    if not jobs:
        place = "any namespace" if everywhere else f"namespace {cluster.namespace}"
        console.print(f"no jobs in {place}")
        return
    console.print(jobs_table(jobs, datetime.now(UTC), with_namespace=everywhere))


def jobs_table(jobs: list[JobView], now: datetime, *, with_namespace: bool) -> Table:
    """The columns that `kubectl get rlhf` prints, and the namespace on request."""
    table = Table(box=None, header_style="", pad_edge=False)
    for column in (("NAMESPACE",) if with_namespace else ()) + COLUMNS:
        table.add_column(column, no_wrap=True)
    for job in jobs:
        table.add_row(*((job.namespace,) if with_namespace else ()), *_cells(job, now))
    return table


def _cells(job: JobView, now: datetime) -> tuple[str, ...]:
    devices = job.status.devices
    return (
        job.name,
        job.phase,
        job.algorithm,
        job.step,
        job.metric("reward/mean"),
        str(job.status.restarts),
        "" if devices is None else str(devices),
        age(job.created, now),
    )
