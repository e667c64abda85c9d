"""All reward sources of a run: they score side by side, then their parts become one score."""

from collections.abc import Sequence
from dataclasses import dataclass

from openrlhf_core.rewards.combine import combine
from openrlhf_core.rewards.source import CheckStop, RewardSource, Ticket
from openrlhf_core.samples import Rollout, ScoredRollout


@dataclass(frozen=True)
class Submission:
    """Rollouts that are being scored."""

    rollouts: Sequence[Rollout]
    tickets: Sequence[Ticket]
    """One a source."""


@dataclass(frozen=True)
class ScoredBatch:
    """What became of a submission."""

    rollouts: list[ScoredRollout]
    """In the order of submission."""
    error: str | None
    """Why the first of those without a score has none."""

    @property
    def num_scored(self) -> int:
        return sum(each.score is not None for each in self.rollouts)


class Rewards:
    """The reward of a run, as its recipe sees it."""

    def __init__(self, sources: Sequence[RewardSource]) -> None:
        self._sources = sources

    def wait_ready(self, check_stop: CheckStop) -> None:
        """Returns once every source can score; ConfigurationError when one never will."""
        for source in self._sources:
            source.wait_ready(check_stop)

    def submit(self, rollouts: Sequence[Rollout], queries: Sequence[str]) -> Submission:
        """Begins to score and returns at once. `queries`: prompt and completion as text."""
        return Submission(rollouts, [source.submit(rollouts, queries) for source in self._sources])

    def collect(self, submission: Submission, check_stop: CheckStop) -> ScoredBatch:
        """Waits for the scores; a rollout that any part failed to score has score None."""
        pairs = zip(self._sources, submission.tickets, strict=True)
        parts = [part for source, ticket in pairs for part in source.collect(ticket, check_stop)]
        error = next((part.error for part in parts if part.error is not None), None)
        return ScoredBatch(combine(submission.rollouts, parts), error)

    def score(
        self, rollouts: Sequence[Rollout], queries: Sequence[str], check_stop: CheckStop
    ) -> ScoredBatch:
        """Submits and collects."""
        return self.collect(self.submit(rollouts, queries), check_stop)

    def close(self) -> None:
        """Ends every source."""
        for source in self._sources:
            source.close()
