"""Runs one attempt, from its RunConfig to its exit code. Called by `rlhf run` and `rlhf drive`."""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from openrlhf_core.checkpoint import MODEL_DIRECTORY
from openrlhf_core.output import OutputDirectory, hold_output
from openrlhf_core.recipes.run.attempt import AttemptEnd, Controls, run_attempt
from openrlhf_core.spec.exit_codes import RunError, StopRequested, unforeseen_error
from openrlhf_core.spec.last_words import last_words_line
from openrlhf_core.spec.progress import LAST_PROGRESS
from openrlhf_core.spec.run_config import RunConfig
from openrlhf_core.stop import StopFlag, stop_on_signals
from openrlhf_core.surroundings import Surroundings
from openrlhf_core.telemetry.console import DRIVER_LOG, captured_output
from openrlhf_core.telemetry.display import open_display
from openrlhf_core.telemetry.metrics_file import METRICS_FILE, read_rows
from openrlhf_core.telemetry.progress import ProgressBoard
from openrlhf_core.telemetry.summary import (
    Summary,
    SummaryStatus,
    render_summary,
    summarize_metrics,
    write_summary,
)

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
SHOW_CURSOR = "\x1b[?25h"


def run(config: RunConfig, surroundings: Surroundings, terminal: TextIO) -> int:
    """Runs one attempt and returns its exit code; what went wrong stands on `terminal`."""
    output = Path(config.output)
    try:
        held = hold_output(output, config.training, surroundings.attempt, config.uid)
    except RunError as error:
        terminal.write(f"{error}\n")
        if surroundings.attempt is not None:
            terminal.write(last_words(None, error))
        return error.exit_code
    try:
        if held.status == "finished":
            terminal.write(
                f"{output} holds the finished run: {held.finished_step} steps; the model is in "
                f"{output / MODEL_DIRECTORY}. A larger maxSteps continues it\n"
            )
            return 0
        with captured_output(output) as screen:
            return run_captured(config, surroundings, held, screen)
    finally:
        held.release()


def run_captured(
    config: RunConfig, surroundings: Surroundings, held: OutputDirectory, screen: TextIO
) -> int:
    """Runs the attempt with all that libraries print in the log; `screen` is for people."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, force=True)
    logging.captureWarnings(True)
    stop = StopFlag(config.grace_period_seconds)
    listen = partial(stop_on_signals, stop, lambda: show_cursor(screen))
    listen()
    started = time.monotonic()
    end = AttemptEnd()
    with closing(open_display(screen)) as display:
        for note in surroundings.notes:
            display.note(note)
        error = caught(
            lambda: run_attempt(config, surroundings, held, Controls(stop, display, listen), end),
            Path(config.output) / DRIVER_LOG,
        )
    report(config, held, AttemptReport(end, error, time.monotonic() - started), screen)
    if surroundings.attempt is not None:
        screen.write(last_words(end.board, error))
    return 0 if error is None else error.exit_code


def last_words(board: ProgressBoard | None, error: RunError | None) -> str:
    """The lines that the operator reads in the log of a driver that has ended: why, and how far."""
    lines = "" if error is None else last_words_line(error)
    if board is not None:
        lines += f"{LAST_PROGRESS}{board.snapshot().model_dump_json(by_alias=True)}\n"
    return lines


def caught(work: Callable[[], None], log: Path) -> RunError | None:
    """Returns the RunError that ended `work`, also for an error that nobody foresaw."""
    try:
        work()
    except RunError as error:
        logger.info("ended by %s: %s", type(error).__name__, error, exc_info=True)
        return error
    except Exception as error:
        logger.exception("ended by an unforeseen error")
        first_line = str(error).partition("\n")[0]
        message = f"unforeseen {type(error).__name__}: {first_line}; {log} has more"
        return unforeseen_error(error, message)
    return None


@dataclass(frozen=True)
class AttemptReport:
    """How an attempt ended."""

    end: AttemptEnd
    error: RunError | None
    """None: it finished."""
    seconds: float


def report(
    config: RunConfig, held: OutputDirectory, attempt: AttemptReport, screen: TextIO
) -> None:
    """Writes summary.json, unless another attempt has the directory, and the closing page."""
    output, end, error = Path(config.output), attempt.end, attempt.error
    rows = read_rows(output / METRICS_FILE)
    summary = Summary(
        status=status_of(error),
        recipe=config.training.recipe,
        steps=rows[-1].step if rows else 0,
        seconds=attempt.seconds,
        resumed_from_step=end.resumed_from_step,
        metrics=summarize_metrics(rows),
        checkpoint=end.committed,
        model=MODEL_DIRECTORY if end.is_published else None,
        error=None if error is None else str(error),
    )
    try:
        held.still_ours()
        write_summary(output, summary)
    except RunError as problem:
        screen.write(f"{problem}\n")
    screen.write(render_summary(summary, rows, output, screen.encoding) + "\n")


def status_of(error: RunError | None) -> SummaryStatus:
    if error is None:
        return "finished"
    return "stopped" if isinstance(error, StopRequested) else "failed"


def show_cursor(screen: TextIO) -> None:
    """Gives the terminal back its cursor, which the bar hides."""
    if screen.isatty():
        screen.write(SHOW_CURSOR)
