"""Which completions a reward function scores in one call."""

from collections.abc import Sequence
from itertools import groupby

from openrlhf_core.rewards.call import RewardRequest
from openrlhf_core.samples import Rollout


def split_calls(rollouts: Sequence[Rollout], batch_size: int | None) -> list[range]:
    """Ranges of rollouts, one a call: `batch_size` each, or None: neighbours of one prompt."""
    if batch_size is not None:
        count = len(rollouts)
        return [
            range(start, min(start + batch_size, count)) for start in range(0, count, batch_size)
        ]
    ranges = []
    for _, group in groupby(range(len(rollouts)), key=lambda index: rollouts[index].group_id):
        indices = list(group)
        ranges.append(range(indices[0], indices[-1] + 1))
    return ranges


def make_request(rollouts: Sequence[Rollout], queries: Sequence[str]) -> RewardRequest:
    """The request for these rollouts, whose full texts are `queries`."""
    rows = [rollout.prompt.columns for rollout in rollouts]
    names = dict.fromkeys(name for row in rows for name in row)
    return RewardRequest(
        queries=list(queries),
        prompts=[rollout.prompt.text for rollout in rollouts],
        labels=[rollout.prompt.label for rollout in rollouts],
        columns={name: [row.get(name) for row in rows] for name in names},
    )
