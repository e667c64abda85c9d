"""What a person sees while a run goes on: a bar on a terminal, plain lines anywhere else."""

import math
import os
import threading
import time
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from openrlhf_core.spec.progress import Phase, Progress

_PHASES: dict[Phase, str] = {
    "starting": "starting",
    "rollout": "generating",
    "reward": "scoring",
    "logprob": "reading log-probs",
    "train": "training",
    "weight_sync": "syncing weights",
    "checkpoint": "saving a checkpoint",
    "finished": "finished",
}

_SCORED = (("reward", "reward/mean", 2), ("kl", "kl/mean", 3))
"""Label, metric and digits of the figures of a step whose completions are scored."""

_LONG_PHASES: tuple[Phase, ...] = ("rollout", "reward", "train")

QUIET_SECONDS = 10.0
"""Plain lines are for logs: work that lasts longer than this says where it is."""


class Display(Protocol):
    """Shows a run to a person. Never raises because nobody looks any more."""

    def wait_for(self, text: str) -> None:
        """Says what the setup waits for, as in `starting Ray`."""

    def count(self, text: str, done: int, total: int) -> None:
        """Says how far a wait has come, as in `reading the data: sums 4,096/50,000`."""

    def show(self, progress: Progress) -> None:
        """Shows where the run stands; called at every phase and step."""

    def note(self, text: str) -> None:
        """Says something once, as in `resumes from step 40`."""

    def close(self) -> None:
        """Leaves the terminal as it was."""


def open_display(stream: TextIO, is_dumb: bool | None = None) -> Display:
    """A bar where the stream is a terminal that can draw one, else plain lines."""
    dumb = os.environ.get("TERM", "") in ("", "dumb", "unknown") if is_dumb is None else is_dumb
    return BarDisplay(stream) if stream.isatty() and not dumb else PlainDisplay(stream)


class PlainDisplay:
    """One line a step: `step 12/80 reward 0.43 kl 0.012 11.2k tok/s ETA 14s`.

    Steps that last say their long phases too, as does the first one: a log must not look hung.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown_step: int | None = None
        self._last_line = time.monotonic()

    def wait_for(self, text: str) -> None:
        self._line(f"{text} …")

    def count(self, text: str, done: int, total: int) -> None:
        if time.monotonic() - self._last_line >= QUIET_SECONDS:
            self._line(f"{text} {done:,}/{total:,} …")

    def show(self, progress: Progress) -> None:
        if self._shown_step is None:
            self._shown_step = progress.resumed_from_step or 0
        if progress.step > self._shown_step:
            self._shown_step = progress.step
            self._line(step_line(progress))
        elif progress.phase in _LONG_PHASES and _is_slow(progress):
            next_step = f"step {progress.step + 1}/{progress.total_steps}"
            self._line(f"{next_step} {_PHASES[progress.phase]} …")

    def note(self, text: str) -> None:
        self._line(text)

    def close(self) -> None:
        self._stream.flush()

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        self._stream.write(f"{text}\n")
        self._stream.flush()


class BarDisplay:
    """Two lines that stay at the bottom: the bar with phase and time left, and the figures."""

    def __init__(self, stream: TextIO) -> None:
        self._lock = threading.Lock()
        self._spinner = Spinner("dots", "starting …")
        self._waiting: RenderableType | None = self._spinner
        self._progress: Progress | None = None
        self._live = Live(
            console=Console(file=stream),
            get_renderable=self._render,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def wait_for(self, text: str) -> None:
        with self._lock:
            self._waiting = self._spinner
            self._spinner.update(text=f"{text} …")

    def count(self, text: str, done: int, total: int) -> None:
        row = Table.grid(padding=(0, 1))
        row.add_row(text, ProgressBar(total=total, completed=done, width=30), f"{done:,}/{total:,}")
        with self._lock:
            self._waiting = row

    def show(self, progress: Progress) -> None:
        with self._lock:
            self._progress = progress
            if progress.phase != "starting":
                self._waiting = None

    def note(self, text: str) -> None:
        self._live.console.print(Text(text))

    def close(self) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        with self._lock:
            waiting, progress = self._waiting, self._progress
        if waiting is not None or progress is None:
            return waiting or self._spinner
        return Group(_bar(progress), Text(figures(progress), style="bold"))


def _is_slow(progress: Progress) -> bool:
    """Whether the last step lasted; before there is one, nobody knows."""
    return progress.metrics.get("time/step_seconds", math.inf) > QUIET_SECONDS


def _bar(progress: Progress) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    row.add_row(
        ProgressBar(total=progress.total_steps, completed=progress.step, width=30),
        f"step {progress.step}/{progress.total_steps}",
        _PHASES[progress.phase],
        _time_left(progress),
    )
    return row


def step_line(progress: Progress) -> str:
    """One line about a finished step; what is not known is left out."""
    parts = [f"step {progress.step}/{progress.total_steps}", figures(progress)]
    return " ".join(part for part in (*parts, _time_left(progress)) if part)


def figures(progress: Progress) -> str:
    """The figures that people watch: reward and KL, or the loss where nothing is scored; speed."""
    metrics = progress.metrics
    loss = next((name for name in metrics if name.endswith("/loss")), "")
    watched = _SCORED if "reward/mean" in metrics else (("loss", loss, 3),)
    parts = [
        f"{label} {metrics[name]:.{digits}f}" for label, name, digits in watched if name in metrics
    ]
    if progress.tokens_per_second is not None:
        parts.append(f"{short_number(progress.tokens_per_second)} tok/s")
    return " ".join(parts)


def _time_left(progress: Progress) -> str:
    seconds = progress.estimated_remaining_seconds
    return "" if seconds is None else f"ETA {short_duration(seconds)}"


def short_number(value: float) -> str:
    """Three digits or so: 950, 11.2k, 3.4M.

    >>> short_number(11_240)
    '11.2k'
    """
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{suffix}"
    return f"{value:.0f}"


def short_duration(seconds: float) -> str:
    """The two largest units.

    >>> short_duration(3723)
    '1h02m'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
