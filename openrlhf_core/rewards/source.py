"""What scores rollouts: one protocol for Python functions, reward models and remote endpoints."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from openrlhf_core.samples import Rollout

CheckStop = Callable[[], None]
"""Raises StopRequested when the run is to stop; every wait calls it again and again."""
Ticket = int
"""Names what was submitted."""


@dataclass(frozen=True)
class PartScores:
    """The raw scores of one part: one function, model or endpoint of `training.reward`."""

    name: str
    weight: float
    scores: Sequence[float | None]
    """One a rollout; None where it could not be scored."""
    error: str | None = None
    """Why the first of those could not; None when all were scored."""


class RewardSource(Protocol):
    """Scores rollouts by one or more parts."""

    def wait_ready(self, check_stop: CheckStop) -> None:
        """Returns once it can score; ConfigurationError when it never will."""

    def submit(self, rollouts: Sequence[Rollout], queries: Sequence[str]) -> Ticket:
        """Begins to score and returns at once. `queries`: prompt and completion as text."""

    def collect(self, ticket: Ticket, check_stop: CheckStop) -> list[PartScores]:
        """Waits for the scores of what was submitted; a ticket is collected once.

        Raises what `check_stop` raises, and gives up what was submitted.
        """

    def close(self) -> None:
        """Ends its processes and connections."""
