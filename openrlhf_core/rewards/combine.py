"""How the scores of several parts become one."""

from collections.abc import Sequence

from openrlhf_core.rewards.source import PartScores
from openrlhf_core.samples import Rollout, ScoredRollout


def combine(rollouts: Sequence[Rollout], parts: Sequence[PartScores]) -> list[ScoredRollout]:
    """Returns each rollout with score = sum of weight x raw score over the parts.

    A rollout of which any part failed has score None: half a sum would be another reward.
    """
    return [
        ScoredRollout(
            rollout=rollout,
            score=_total([(part.weight, part.scores[index]) for part in parts]),
            parts={part.name: value for part in parts if (value := part.scores[index]) is not None},
        )
        for index, rollout in enumerate(rollouts)
    ]


def _total(terms: Sequence[tuple[float, float | None]]) -> float | None:
    total = 0.0
    for weight, score in terms:
        if score is None:
            return None
        total += weight * score
    return total
