"""What a run finds around it, on one machine or on a cluster. Made by cli, read by the driver."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Surroundings:
    """Everything about this attempt that the RunConfig, written once a job, cannot know."""

    open_ray: Callable[[], AbstractContextManager[None]]
    """Starts or joins Ray, and leaves it at the end of the block."""
    base: Path
    """What bare paths of sources are relative to."""
    attempt: int | None
    """Number of the attempt on a cluster; None on one machine."""
    token: str | None
    """Bearer token of the progress server; None: only this machine reaches it."""
    notes: tuple[str, ...] = ()
    """What a person should know before the run begins."""
