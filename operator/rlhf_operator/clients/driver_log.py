"""What the log of a driver that has ended says: its last words, its last Progress, its last lines.

The log holds what the job's own code prints, so nothing in it is trusted: each line is judged by
its model, and a line that does not fit is text like any other.
"""

from dataclasses import dataclass

from pydantic import ValidationError

from openrlhf_core.spec.last_words import LAST_WORDS, LastWords
from openrlhf_core.spec.progress import LAST_PROGRESS, Progress
from rlhf_operator.clients.progress import read_progress
from rlhf_operator.untrusted import clean_text, read_json

MAX_LINES = 15
MAX_CHARACTERS = 4000


@dataclass(frozen=True)
class DriverLog:
    """Read from a driver's log by `read_log`."""

    last_words: LastWords | None
    """Why it ended, in its own words; None when it died without any."""
    progress: Progress | None
    """How far it came."""
    last_lines: str
    """The end of what it printed, without the lines above."""


def read_log(text: str) -> DriverLog:
    """Reads the log of a driver that has ended.

    read_log('starting Ray\nrlhf-end: {"exitCode": 2, "cause": "Configuration", "message": "…"}\n')
    == DriverLog(LastWords(2, Cause.CONFIGURATION, "…"), None, "starting Ray")
    """
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    words = [line.removeprefix(LAST_WORDS) for line in lines if line.startswith(LAST_WORDS)]
    boards = [line.removeprefix(LAST_PROGRESS) for line in lines if line.startswith(LAST_PROGRESS)]
    others = [line for line in lines if not line.startswith((LAST_WORDS, LAST_PROGRESS))]
    return DriverLog(
        last_words=parse_last_words(words[-1]) if words else None,
        progress=read_progress(read_json(boards[-1].encode()))[0] if boards else None,
        last_lines=clean_text("\n".join(others[-MAX_LINES:])[-MAX_CHARACTERS:], MAX_CHARACTERS),
    )


def parse_last_words(text: str) -> LastWords | None:
    """The record that a JSON text holds, or None when it holds none, as when it was cut off."""
    try:
        record = LastWords.model_validate_json(text, extra="ignore")
    except ValidationError:
        return None
    message = clean_text(record.message, MAX_CHARACTERS)
    return LastWords(exit_code=record.exit_code, cause=record.cause, message=message)
