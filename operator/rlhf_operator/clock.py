"""`Clock`: the time of day for statuses, and a time that only goes forward for waits."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """Where the operator reads the time; tests turn it."""

    now: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
