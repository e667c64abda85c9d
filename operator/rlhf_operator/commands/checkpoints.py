"""`rlhf checkpoints`: what a job has committed, and where it lies."""

from rich.console import Console
from rich.table import Table

from openrlhf_core.spec.kinds.status import CheckpointStatus
from rlhf_operator.commands.cluster import Cluster
from rlhf_operator.commands.job_view import JobView


def print_checkpoints(cluster: Cluster, console: Console, name: str) -> None:
    """The newest checkpoint, then how many there are and on which claim."""
    job = JobView.of(cluster.job(name))
    listed = job.status.checkpoints
    if listed is None or listed.latest is None:
        console.print(f"{name} has committed no checkpoint yet")
        return
    console.print(checkpoint_table(listed.latest))
    console.print(f"{listed.count} on the volume", highlight=False)
    output = job.status.output
    if output is not None:
        console.print(
            f"paths are below {output.path} of claim {output.claim_name}; "
            f"`storage.output: {{claimName: {output.claim_name}, subPath: {output.path}}}` in a "
            "new job continues from the newest",
            soft_wrap=True,
            highlight=False,
        )


def checkpoint_table(latest: CheckpointStatus) -> Table:
    """Step, time and path of the newest checkpoint."""
    table = Table(box=None, header_style="", pad_edge=False)
    for column in ("", "STEP", "TIME", "PATH"):
        table.add_column(column, no_wrap=True)
    table.add_row("newest", str(latest.step), latest.time, latest.path)
    return table
