"""The request to stop: a signal or POST /stop sets it, and every wait in the driver checks it."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from openrlhf_core.spec.exit_codes import ExitCode, StopRequested

TERMINATING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Requests of others to end: SIGHUP when the terminal closes, SIGUSR1 before Slurm's time limit."""


class StopFlag:
    """Remembers the first request to stop and how long the grace period still lasts."""

    def __init__(
        self, grace_period_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._grace_period_seconds = grace_period_seconds
        self._clock = clock
        self._deadline: float | None = None
        self._reason = ""
        self._lock = threading.Lock()

    def request(self, reason: str) -> None:
        """Asks the run to stop; later requests change nothing."""
        with self._lock:
            if self._deadline is None:
                self._reason = reason
                self._deadline = self._clock() + self._grace_period_seconds

    @property
    def is_requested(self) -> bool:
        return self._deadline is not None

    @property
    def remaining_seconds(self) -> float:
        """What is left of the grace period; infinite before a request."""
        return float("inf") if self._deadline is None else self._deadline - self._clock()

    def check(self) -> None:
        """Raises StopRequested after a request."""
        if self.is_requested:
            raise StopRequested(f"stopped on request ({self._reason})")

    def check_grace(self) -> None:
        """Raises StopRequested once the grace period is over."""
        if self.remaining_seconds <= 0:
            raise StopRequested(f"stopped on request ({self._reason}); the grace period is over")


def stop_on_signals(flag: StopFlag, second_interrupt: Callable[[], None]) -> None:
    """Makes SIGTERM, SIGHUP, SIGUSR1 and the first SIGINT a request to stop.

    A second SIGINT exits 130 at once; `second_interrupt` runs before that, to end child processes.
    A signal that was ignored when this program began stays so: `nohup` ignores SIGHUP.
    """

    def on_terminate(number: int, frame: FrameType | None) -> None:
        flag.request(signal.Signals(number).name)

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if flag.is_requested:
            second_interrupt()
            os._exit(ExitCode.INTERRUPTED)
        flag.request("SIGINT; once more ends at once")

    for number in TERMINATING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, on_terminate)
    signal.signal(signal.SIGINT, on_interrupt)
