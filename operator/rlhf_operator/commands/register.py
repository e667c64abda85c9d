"""Joins the cluster commands to `rlhf`: names, options and help; each body is a few calls.

Named by the entry point `cluster` of the group `rlhf.commands`. What speaks to the cluster is
imported inside the commands, so that `rlhf --help` and `rlhf validate` start at once.
"""
# ruff: noqa: PLC0415

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from rlhf_operator.commands.connection import connect
from rlhf_operator.commands.consent import Consent, asked, given

PANEL = "On a cluster (current kubeconfig)"
WAIT_SECONDS = 600.0

Name = Annotated[str, typer.Argument(help="Name of the job.", show_default=False)]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace. Default: the kubeconfig context's."),
]


def register(app: typer.Typer) -> None:
    """Adds every command of this module to `rlhf`."""
    commands = (submit, list_, get, status, logs, metrics, suspend, resume, cancel)
    for command in (*commands, checkpoints, doctor):
        name = command.__name__.rstrip("_")
        app.command(name, rich_help_panel=PANEL)(command)


def submit(
    file: Annotated[Path, typer.Argument(help="Manifest with an RLHFJob.", show_default=False)],
    namespace: Namespace = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Carry local files without asking.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Let the API server judge it; create nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
) -> None:
    """Create the job; small local files (reward code, data) go along in a ConfigMap."""
    from rlhf_operator.commands.status import watch_status
    from rlhf_operator.commands.submit import submit_file

    console = _console()
    cluster = connect(namespace)
    names = submit_file(cluster, console, file, _consent(yes), dry_run=dry_run)
    if wait and not dry_run:
        ended = [watch_status(cluster, console, name) for name in names]
        raise typer.Exit(0 if all(job.outcome == "Complete" for job in ended) else 1)


def list_(
    namespace: Namespace = None,
    everywhere: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Jobs of every namespace.")
    ] = False,
) -> None:
    """List jobs with phase, step, reward and restarts."""
    from rlhf_operator.commands.listing import print_list

    print_list(connect(namespace), _console(), everywhere=everywhere)


def get(
    name: Name,
    namespace: Namespace = None,
    output: Annotated[str, typer.Option("--output", "-o", help="yaml or json.")] = "yaml",
) -> None:
    """Print the object as the API server has it."""
    from rlhf_operator.commands.printing import object_text

    sys.stdout.write(object_text(connect(namespace).job(name), output))


def status(
    name: Name,
    namespace: Namespace = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it to its end.")] = False,
) -> None:
    """Say where a job stands and why; with -w exits 0 when it completes, 1 when it fails."""
    from rlhf_operator.commands.status import print_status, watch_status

    cluster = connect(namespace)
    if not watch:
        print_status(cluster, _console(), name)
        return
    job = watch_status(cluster, _console(), name)
    raise typer.Exit(0 if job.outcome == "Complete" else 1)


def logs(
    name: Name,
    namespace: Namespace = None,
    group: Annotated[
        str | None,
        typer.Option("--group", "-g", help="Pods of this worker group, or `head`, instead."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    tail: Annotated[int, typer.Option("--tail", min=1, help="Lines to begin with.")] = 1000,
) -> None:
    """Print the driver's log, or what the pods of one worker group print."""
    from rlhf_operator.commands.logs import driver_log, group_log

    cluster = connect(namespace)
    if group is not None:
        group_log(cluster, name, group, tail=tail, follow=follow, write=_write_line)
        return
    for line in driver_log(cluster, name, tail=tail, follow=follow):
        _write_line(line)


def metrics(
    name: Name,
    namespace: Namespace = None,
    plot: Annotated[
        str | None,
        typer.Option("--plot", help="Curves of these metrics, as reward/mean,kl/mean."),
    ] = None,
) -> None:
    """Print the latest metrics, or with --plot their curves over the whole run."""
    from rlhf_operator.commands.history import metric_rows
    from rlhf_operator.commands.metrics import print_metrics, print_plots

    cluster = connect(namespace)
    if plot is None:
        print_metrics(cluster, _console(), name)
        return
    print_plots(_console(), metric_rows(cluster, name), plot.split(","))


def suspend(
    name: Name,
    namespace: Namespace = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until its pods are gone.")] = False,
) -> None:
    """Commit a checkpoint and free the job's pods."""
    from rlhf_operator.commands.lifecycle import suspend as suspend_job
    from rlhf_operator.commands.lifecycle import wait_until_suspended

    cluster = connect(namespace)
    _write_line(suspend_job(cluster, name))
    if wait:
        wait_until_suspended(cluster, name, WAIT_SECONDS)


def resume(name: Name, namespace: Namespace = None) -> None:
    """Continue a suspended job from its newest checkpoint."""
    from rlhf_operator.commands.lifecycle import resume as resume_job

    _write_line(resume_job(connect(namespace), name))


def cancel(
    name: Name,
    namespace: Namespace = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is gone.")] = False,
) -> None:
    """Stop and delete the job; its output claim stays."""
    from rlhf_operator.commands.lifecycle import cancel as cancel_job
    from rlhf_operator.commands.lifecycle import wait_until_gone

    cluster = connect(namespace)
    if not _consent(yes)(f"Stop and delete {name} in namespace {cluster.namespace}?"):
        raise typer.Exit(2)
    _write_line(cancel_job(cluster, name))
    if wait:
        wait_until_gone(cluster, name, WAIT_SECONDS)


def checkpoints(name: Name, namespace: Namespace = None) -> None:
    """Show the committed checkpoints and where they lie."""
    from rlhf_operator.commands.checkpoints import print_checkpoints

    print_checkpoints(connect(namespace), _console(), name)


def doctor(namespace: Namespace = None) -> None:
    """Look for what keeps jobs from running on this cluster; exit 2 when something does."""
    from rlhf_operator.commands.doctor import examine, print_findings

    if not print_findings(_console(), examine(connect(namespace))):
        raise typer.Exit(2)


def _console() -> Console:
    return Console(highlight=False)


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _consent(yes: bool) -> Consent:
    return given if yes else asked
