"""Log-probs of many sequences over the ranks of a role: shares out, and back in order."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from openrlhf_core.data.balance import BatchLimits, plan_forward
from openrlhf_core.orchestration.collect import Call, Collect


def forward_logprobs(
    role: str,
    actors: Sequence[Any],
    sequences: Sequence[np.ndarray],
    limits: BatchLimits,
    collect: Collect,
) -> list[np.ndarray]:
    """Returns the log-probs of every sequence of token ids, in order and shape as given."""
    shares = plan_forward([len(ids) for ids in sequences], len(actors), limits)
    calls = [
        Call(
            f"{role} rank {rank}",
            actor.logprobs.remote([[sequences[i] for i in batch] for batch in share]),
        )
        for rank, (actor, share) in enumerate(zip(actors, shares, strict=True))
    ]
    found: dict[int, np.ndarray] = {}
    for share, parts in zip(shares, collect(calls), strict=True):
        for batch, part in zip(share, parts, strict=True):
            found.update(zip(batch, part, strict=True))
    return [found[index] for index in range(len(sequences))]
