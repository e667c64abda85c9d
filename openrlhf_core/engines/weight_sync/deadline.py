"""A time limit that the steps of one weight sync share, and the error past it."""

import threading
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import TypeVar

from openrlhf_core.spec.exit_codes import CollectiveTimeout

Result = TypeVar("Result")


class Deadline:
    """Counts down from `seconds`, starting now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = monotonic() + seconds

    def remaining(self) -> timedelta:
        """What is left, at least a millisecond: libraries read 0 as no limit."""
        return timedelta(seconds=max(self._end - monotonic(), 0.001))


def sync_failure(what: str, seconds: float, cause: object) -> CollectiveTimeout:
    """The error of a sync in which `what` went wrong under a limit of `seconds`."""
    return CollectiveTimeout(
        f"weight sync: {what}: {cause}. The other side is lost or stuck, or "
        f"slower than training.weightSync.timeoutSeconds ({seconds:g} s) allows"
    )


def call_within(seconds: float, what: str, function: Callable[[], Result]) -> Result:
    """What `function` returns or raises; CollectiveTimeout when it takes longer than `seconds`.

    For calls that have no time limit of their own (NCCL). One that is late goes on in a daemon
    thread, so the process is of no further use.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="weight-sync", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise sync_failure(what, seconds, "no answer")
    return results[0]
