"""The end of a run: summary.json for programs, a page with a plot for people."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import plotille
from pydantic import Field

from openrlhf_core.durable import write_durably
from openrlhf_core.spec.kinds.base import SpecModel
from openrlhf_core.spec.metrics import find_metric
from openrlhf_core.spec.progress import CheckpointRecord
from openrlhf_core.telemetry.display import short_duration
from openrlhf_core.telemetry.metrics_file import MetricRow

SUMMARY_FILE = "summary.json"
REWARD = "reward/mean"
WINDOW = 10
"""Steps of the moving mean in the plot, and of the means that the text names."""


SummaryStatus = Literal["finished", "stopped", "failed"]


class MetricSummary(SpecModel):
    """Values by metric."""

    first: dict[str, float] = Field(description="Of the first step that has the metric.")
    last: dict[str, float] = Field(description="Of the last step that has the metric.")
    best: dict[str, float] = Field(description="Best of all steps, where one end is better.")


class Summary(SpecModel):
    """The content of summary.json."""

    status: SummaryStatus = Field(description="How the run ended.")
    recipe: str = Field(description="training.recipe.")
    steps: int = Field(description="Last finished step.")
    seconds: float = Field(description="Wall time of this attempt.")
    resumed_from_step: int | None = Field(None, description="Checkpoint this attempt began at.")
    metrics: MetricSummary = Field(description="Over all steps, earlier attempts included.")
    checkpoint: CheckpointRecord | None = Field(None, description="Newest committed checkpoint.")
    model: str | None = Field(None, description="Trained model, relative to the output directory.")
    error: str | None = Field(None, description="Why a failed run ended.")


def summarize_metrics(rows: Sequence[MetricRow]) -> MetricSummary:
    """First, last and best value of each metric over the rows, which are in order of the steps."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    best: dict[str, float] = {}
    for row in rows:
        for name, value in row.metrics.items():
            first.setdefault(name, value)
            last[name] = value
            if better := find_metric(name)[0].better:
                choose = max if better == "higher" else min
                best[name] = choose(best.get(name, value), value)
    return MetricSummary(first=first, last=last, best=best)


def write_summary(output: Path, summary: Summary) -> None:
    """Replaces summary.json as a whole."""
    text = summary.model_dump_json(by_alias=True, indent=2)
    write_durably(output / SUMMARY_FILE, text + "\n")


def render_summary(
    summary: Summary, rows: Sequence[MetricRow], output: Path, encoding: str = "utf-8"
) -> str:
    """The text at the end of a run: its headline's course, how it ended, where the model lies."""
    lines = [_ending(summary)]
    metric = headline(rows)
    label = metric.partition("/")[0] if metric == REWARD else "loss"
    points = [(row.step, row.metrics[metric]) for row in rows if metric in row.metrics]
    if len(points) > 1:
        values = [value for _, value in points]
        lines = [*_plot(metric, points, encoding), *lines, _course(label, values)]
    if summary.model is not None:
        lines.append(f"model       {output / summary.model}")
    if summary.checkpoint is not None:
        lines.append(f"checkpoint  {output / summary.checkpoint.path}")
    lines.append(f"metrics     {output / 'metrics.jsonl'}")
    return "\n".join(lines)


def headline(rows: Sequence[MetricRow]) -> str:
    """The metric that is plotted: the reward, or the loss of a run without one."""
    names = sorted({name for row in rows for name in row.metrics})
    losses = [name for name in names if name.endswith("/loss")]
    return REWARD if REWARD in names or not losses else losses[0]


def _ending(summary: Summary) -> str:
    resumed = summary.resumed_from_step
    since = "" if resumed is None else f", resumed from step {resumed}"
    why = "" if summary.error is None else f": {summary.error}"
    lasted = short_duration(summary.seconds)
    return f"{summary.status} after step {summary.steps} in {lasted}{since}{why}"


def _course(label: str, values: Sequence[float]) -> str:
    count = min(WINDOW, len(values) // 2)
    first, last = sum(values[:count]) / count, sum(values[-count:]) / count
    return f"{label:<11} {first:.3f} -> {last:.3f} (mean of the first and last {count} steps)"


def moving_mean(values: Sequence[float], window: int = WINDOW) -> list[float]:
    """Mean of each value and those before it, `window` at most.

    >>> moving_mean([1.0, 3.0, 5.0], window=2)
    [1.0, 2.0, 4.0]
    """
    means = []
    for end in range(1, len(values) + 1):
        last = values[max(0, end - window) : end]
        means.append(sum(last) / len(last))
    return means


def _plot(metric: str, points: Sequence[tuple[int, float]], encoding: str) -> list[str]:
    """Points of each step and their moving mean; nothing where braille cannot be written."""
    if not _can_write_braille(encoding):
        return []
    steps = [float(step) for step, _ in points]
    values = [value for _, value in points]
    figure = plotille.Figure()
    figure.width, figure.height = 54, 12
    figure.with_colors = False
    figure.origin = False
    figure.x_label, figure.y_label = "step", metric
    figure.x_ticks_fkt = lambda low, _: f"{low:.0f}"
    figure.y_ticks_fkt = lambda low, _: f"{low:.2f}"
    figure.set_x_limits(min_=steps[0], max_=steps[-1])
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or 0.05
    figure.set_y_limits(min_=low - margin, max_=high + margin)
    figure.scatter(steps, values)
    figure.plot(steps, moving_mean(values))
    return [*figure.show().splitlines(), f"(dots: steps; line: mean of {WINDOW} steps)", ""]


def _can_write_braille(encoding: str) -> bool:
    try:
        "⣿".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
