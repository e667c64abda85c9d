"""Keeps what libraries print off the display: descriptors 1 and 2 go to a log file.

Child processes inherit the redirection. The display gets a stream of its own to the real terminal,
which falls silent, and raises nothing, when its reader is gone.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from openrlhf_core.durable import writing

DRIVER_LOG = Path("logs") / "driver.log"


class TerminalStream(io.TextIOBase):
    """A duplicate of a descriptor, as text; writes into nothing once its reader is gone."""

    def __init__(self, descriptor: int, encoding: str) -> None:
        self._descriptor = os.dup(descriptor)
        self._encoding = encoding
        self.is_gone = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed: a plain attribute
        return self._encoding

    def write(self, text: str) -> int:
        content = memoryview(text.encode(self._encoding, errors="replace"))
        while content and not self.is_gone:
            try:
                content = content[os.write(self._descriptor, content) :]
            except BlockingIOError:  # a full pipe that somebody made non-blocking
                break
            except OSError:
                self.is_gone = True
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return not self.is_gone and os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)


@contextmanager
def captured_output(output: Path) -> Iterator[TextIO]:
    """Sends all that is printed to <output>/logs/driver.log; yields the real standard output.

    At the end of the block, also by an exception, descriptors 1 and 2 are as before.
    """
    log = output / DRIVER_LOG
    with writing(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        log_descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    terminal = TerminalStream(1, getattr(sys.stdout, "encoding", None) or "utf-8")
    before = [os.dup(1), os.dup(2)]
    _flush()
    _redirect([log_descriptor, log_descriptor])
    try:
        yield terminal  # type: ignore[misc]  # TextIOBase is what TextIO stands for
    finally:
        _flush()
        _redirect(before)
        terminal.close()
        for descriptor in (log_descriptor, *before):
            os.close(descriptor)


def _redirect(descriptors: list[int]) -> None:
    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)


def _flush() -> None:
    """Python's own buffers must empty into the descriptor that they were filled for."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
