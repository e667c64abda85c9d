"""`rlhf metrics`: the latest values, or curves of the whole run in the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from openrlhf_core.spec.exit_codes import ConfigurationError
from rlhf_operator.commands.job_view import JobView, short_number

if TYPE_CHECKING:
    from rlhf_operator.commands.cluster import Cluster

Row = dict[str, Any]

PLOT_HEIGHT = 12
MIN_WIDTH, MAX_WIDTH = 20, 100


def print_metrics(cluster: "Cluster", console: Console, name: str) -> None:
    """The latest value of each metric that the status holds."""
    job = JobView.of(cluster.job(name))
    if not job.status.metrics:
        console.print(f"{name} has reported no metrics yet ({job.phase})")
        return
    table = Table(box=None, header_style="", pad_edge=False)
    table.add_column("METRIC", no_wrap=True)
    table.add_column(f"STEP {job.step}", no_wrap=True)
    for metric in job.status.metrics:
        table.add_row(metric.name, short_number(metric.value))
    console.print(table)


def print_plots(console: Console, rows: Sequence[Row], names: Sequence[str]) -> None:
    """One curve a metric, over steps."""
    width = min(max(console.width - 24, MIN_WIDTH), MAX_WIDTH)
    for name in names:
        console.print(Text(plot(rows, name, width)), soft_wrap=True)


def plot(rows: Sequence[Row], name: str, width: int) -> str:
    """A curve of one metric over steps, drawn with braille dots.

    Raises ConfigurationError for a metric that no row holds, naming those that are there.
    """
    points = [(row["step"], row["metrics"][name]) for row in rows if name in row["metrics"]]
    if not points:
        known = sorted({key for row in rows for key in row["metrics"]})
        raise ConfigurationError(f"no row holds {name!r}; there are: {', '.join(known)}")
    import plotille  # noqa: PLC0415 (only needed here, and slow to load)

    steps, values = zip(*points, strict=True)
    figure = plotille.Figure()
    figure.width, figure.height = width, PLOT_HEIGHT
    figure.x_label, figure.y_label = "step", name
    figure.set_x_limits(min_=min(steps) - 0.5, max_=max(steps) + 0.5)
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.5
    figure.set_y_limits(min_=low - margin, max_=high + margin)
    figure.plot(steps, values)
    return str(figure.show())
