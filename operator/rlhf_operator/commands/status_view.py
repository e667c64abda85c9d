"""The status of a job for people, made of the object alone."""

from datetime import datetime

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rlhf_operator.commands.cluster import Manifest
from rlhf_operator.commands.job_view import JobView, age, duration, parse_time, short_number

LEADING_METRICS = 8
"""The operator writes the most telling ones first; `rlhf metrics` shows all."""

STYLES = {"Succeeded": "green", "Failed": "red", "Running": "cyan", "Restarting": "yellow"}


def status_line(job: JobView) -> str:
    """`Running step 12/80 reward 0.43 | Running: DriverRunning`: what matters, on one line."""
    words: list[str] = [job.phase]
    if job.step:
        words += ["step", job.step]
    if reward := job.metric("reward/mean"):
        words += ["reward", reward]
    reason = decisive_condition(job)
    return " ".join(words) + (f" | {reason}" if reason else "")


def decisive_condition(job: JobView) -> str:
    """`Type: Reason: message` of the condition that explains the phase."""
    order = ("Failed", "Complete", "Suspended", "Stalled", "Queued")
    by_type = {condition.type: condition for condition in job.status.conditions}
    chosen = [by_type[name] for name in order if name in by_type and by_type[name].status == "True"]
    waiting = [c for c in job.status.conditions if c.type in ("Validated", "ClusterReady")]
    chosen += [c for c in waiting if c.status == "False"]
    chosen += [by_type["Running"]] if "Running" in by_type else []
    if not chosen:
        return ""
    first = chosen[0]
    return f"{first.type}: {first.reason}" + (f": {first.message}" if first.message else "")


def status_view(job: JobView, events: list[Manifest], now: datetime) -> RenderableType:
    """The whole status for people: phase, progress, metrics, conditions, groups, events."""
    parts = (
        _headline(job, now),
        _progress(job),
        _metrics(job),
        _conditions(job, now),
        _groups(job),
        _places(job),
        _failures(job, now),
        _event_table(events, now),
    )
    return Group(*(part for part in parts if part is not None))


def _headline(job: JobView, now: datetime) -> Text:
    text = Text(f"{job.namespace}/{job.name}  {job.algorithm}  ")
    text.append(job.phase, style=STYLES.get(job.phase, "bold"))
    text.append(f"  {age(job.created, now)} old")
    attempt = job.status.attempt
    if attempt is not None:
        text.append(f"  attempt {attempt.number}")
        if attempt.resumed_from_step:
            text.append(f" (resumed from step {attempt.resumed_from_step})")
    if job.status.restarts:
        text.append(f"  {job.status.restarts} restarts")
    return text


def _progress(job: JobView) -> RenderableType | None:
    progress = job.status.progress
    if progress is None:
        return None
    row = Table.grid(padding=(0, 1))
    words = [f"step {job.step}"]
    if progress.tokens_per_second:
        words.append(f"{short_number(progress.tokens_per_second)} tokens/s")
    if progress.estimated_remaining_seconds is not None and job.outcome is None:
        words.append(f"{duration(progress.estimated_remaining_seconds)} to go")
    bar = ProgressBar(total=max(progress.total_steps, 1), completed=progress.step, width=30)
    row.add_row(bar, ", ".join(words))
    return row


def _metrics(job: JobView) -> RenderableType | None:
    if not job.status.metrics:
        return None
    shown = [f"{m.name} {short_number(m.value)}" for m in job.status.metrics[:LEADING_METRICS]]
    return Columns(shown, padding=(0, 3))


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _conditions(job: JobView, now: datetime) -> RenderableType:
    if not job.status.conditions:
        return Text("the operator has not looked at this job yet (`rlhf doctor` says why)")
    table = _table("CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE")
    for item in job.status.conditions:
        since = age(parse_time(item.last_transition_time), now)
        table.add_row(item.type, item.status, since, item.reason, Text(item.message))
    return table


def _groups(job: JobView) -> RenderableType | None:
    if not job.status.groups:
        return None
    table = _table("GROUP", "READY", "MESSAGE")
    for group in job.status.groups:
        table.add_row(group.name, f"{group.ready}/{group.desired}", Text(group.message))
    return table


def _places(job: JobView) -> RenderableType | None:
    lines = []
    latest = job.status.checkpoints.latest if job.status.checkpoints else None
    if latest is not None:
        lines.append(f"newest checkpoint: step {latest.step}, {latest.path}")
    if job.status.output is not None:
        lines.append(f"output: claim {job.status.output.claim_name}, {job.status.output.path}")
    return Text("\n".join(lines)) if lines else None


def _failures(job: JobView, now: datetime) -> RenderableType | None:
    if not job.status.failures:
        return None
    table = _table("FAILED", "REASON", "EXIT", "MESSAGE")
    for failure in job.status.failures:
        code = "" if failure.exit_code is None else str(failure.exit_code)
        when = f"{age(parse_time(failure.time), now)} ago"
        table.add_row(when, failure.reason, code, Text(failure.message))
    return table


def _event_table(events: list[Manifest], now: datetime) -> RenderableType | None:
    if not events:
        return None
    table = _table("EVENT", "REASON", "MESSAGE")
    for event in events:
        when = event_time(event)
        ago = f"{age(parse_time(when), now)} ago" if when else ""
        table.add_row(ago, event.get("reason", ""), Text(event.get("message") or ""))
    return table


def event_time(event: Manifest) -> str:
    """When an event was last seen, as the server wrote it; empty where it does not say."""
    metadata = event.get("metadata", {})
    times = (event.get("lastTimestamp"), event.get("eventTime"), metadata.get("creationTimestamp"))
    return next((time for time in times if time), "")
