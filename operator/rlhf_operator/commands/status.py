"""`rlhf status`: where a job stands and why, once or until it ends."""

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live

from openrlhf_core.spec.exit_codes import ConfigurationError
from rlhf_operator.commands.cluster import Cluster, Manifest
from rlhf_operator.commands.job_view import JobView
from rlhf_operator.commands.status_view import event_time, status_line, status_view

MAX_EVENTS = 5


def print_status(cluster: Cluster, console: Console, name: str) -> JobView:
    """Prints everything the object says of itself, and its last events."""
    job = JobView.of(cluster.job(name))
    console.print(status_view(job, _events(cluster, name), datetime.now(UTC)))
    return job


def watch_status(cluster: Cluster, console: Console, name: str) -> JobView:
    """Shows the job until it has ended: a live view on a terminal, a line a change elsewhere."""
    if console.is_terminal:
        return _watch_live(cluster, console, name)
    last_line = ""
    for job in job_changes(cluster, name):
        line = status_line(job)
        if line != last_line:
            console.print(line, soft_wrap=True, markup=False, highlight=False)
        last_line = line
    return job


def job_changes(cluster: Cluster, name: str) -> Iterator[JobView]:
    """The job now and at every change, up to its end.

    Raises ConfigurationError when it is deleted meanwhile.
    """
    while True:
        seen = False
        for manifest in cluster.watch_job(name):
            seen = True
            job = JobView.of(manifest)
            yield job
            if job.outcome:
                return
        if not seen:
            cluster.job(name)  # raises NotFoundError in words
            raise ConfigurationError(f"rlhfjob {name}: the API server shows no change of it")


def _watch_live(cluster: Cluster, console: Console, name: str) -> JobView:
    with Live(console=console, refresh_per_second=4) as live:
        for job in job_changes(cluster, name):
            live.update(status_view(job, _events(cluster, name), datetime.now(UTC)))
    return job


def _events(cluster: Cluster, name: str) -> list[Manifest]:
    query = {"fieldSelector": f"involvedObject.kind=RLHFJob,involvedObject.name={name}"}
    found = cluster.get(cluster.core_path("events"), f"events of {name}", **query)["items"]
    return sorted(found, key=event_time)[-MAX_EVENTS:]
