"""Which samples share a micro-batch, which rank learns from them, and in which optimizer step.

Samples of like length share a micro-batch, so that sorting does what packing would: little is
padded. Ranks get like numbers of tokens, and the same number of micro-batches, because their
collectives go in step.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openrlhf_core.data.sampler import shuffled
from openrlhf_core.samples import OptimizerBatch, TrainSample

Indices = tuple[int, ...]


@dataclass(frozen=True)
class BatchLimits:
    """How large a micro-batch may be: exactly one of `micro_batch_size` and `max_tokens`."""

    micro_batch_size: int | None = None
    """Samples of a micro-batch."""
    max_tokens: int | None = None
    """Tokens of a micro-batch, padding counted; a longer sample goes alone."""
    packing: bool = False
    """Whether samples are laid end to end: then padding costs no tokens."""

    def __post_init__(self) -> None:
        if (self.micro_batch_size is None) == (self.max_tokens is None):
            raise ValueError(
                f"micro_batch_size is {self.micro_batch_size} and max_tokens {self.max_tokens}: "
                "give one of them"
            )

    def admits(self, num_samples: int, longest: int, num_tokens: int) -> bool:
        """Whether so many samples with so many tokens fit one micro-batch."""
        if self.micro_batch_size is not None:
            return num_samples <= self.micro_batch_size
        assert self.max_tokens is not None
        return (num_tokens if self.packing else num_samples * longest) <= self.max_tokens


def plan_updates(
    samples: Sequence[TrainSample],
    *,
    train_batch_size: int,
    num_ranks: int,
    epochs: int,
    key: tuple[int, ...],
    limits: BatchLimits,
) -> list[list[OptimizerBatch]]:
    """The optimizer steps of one rollout: [step][rank] -> batch.

    Each epoch takes every sample with a trained token once, in an order that depends only on
    `key`, as (run seed, step), and the epoch. It has ceil(len(samples) / train_batch_size) steps
    of equal size (give or take one), however many samples are masked; a step that would be empty
    is left out.
    """
    live = [index for index, sample in enumerate(samples) if sample.action_mask.any()]
    steps = min(-(-len(samples) // train_batch_size), len(live))
    batches = []
    for epoch in range(epochs if steps else 0):
        order = [live[index] for index in shuffled(len(live), (*key, epoch))]
        for chosen in np.array_split(order, steps):
            batches.append(_optimizer_step([samples[i] for i in chosen], num_ranks, limits))
    return batches


def plan_forward(
    lengths: Sequence[int], num_ranks: int, limits: BatchLimits
) -> list[list[Indices]]:
    """Micro-batches of sample indices for each rank: [rank][micro-batch] -> indices.

    Every rank has the same number of micro-batches (an empty one pads) and every index is in
    exactly one.
    """
    shares = _shares(lengths, num_ranks)
    plans = [_micro_batches(share, lengths, limits) for share in shares]
    count = max(map(len, plans))
    return [_stretched(plan, count) for plan in plans]


def _optimizer_step(
    samples: Sequence[TrainSample], num_ranks: int, limits: BatchLimits
) -> list[OptimizerBatch]:
    plan = plan_forward([sample.num_tokens for sample in samples], num_ranks, limits)
    num_action_tokens = sum(int(sample.action_mask.sum()) for sample in samples)
    num_micro_batches = sum(bool(indices) for rank in plan for indices in rank)
    return [
        OptimizerBatch(
            micro_batches=tuple(tuple(samples[i] for i in indices) for indices in rank),
            num_action_tokens=num_action_tokens,
            num_samples=len(samples),
            num_micro_batches=num_micro_batches,
        )
        for rank in plan
    ]


def _shares(lengths: Sequence[int], num_ranks: int) -> list[list[int]]:
    """Each rank's samples, longest first: the next goes to the rank with the fewest tokens.

    Longest processing time first (Graham 1969): at most 4/3 of the best makespan.
    """
    shares: list[list[int]] = [[] for _ in range(num_ranks)]
    loads = [(0, 0, rank) for rank in range(num_ranks)]
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        load, num_samples, rank = heapq.heappop(loads)
        shares[rank].append(index)
        heapq.heappush(loads, (load + lengths[index], num_samples + 1, rank))
    return shares


def _micro_batches(
    share: Sequence[int], lengths: Sequence[int], limits: BatchLimits
) -> list[Indices]:
    """Cuts samples that are sorted by length, longest first, wherever the limit is reached."""
    batches: list[list[int]] = []
    num_tokens = 0
    for index in share:
        num_tokens += lengths[index]
        if batches and limits.admits(len(batches[-1]) + 1, lengths[batches[-1][0]], num_tokens):
            batches[-1].append(index)
        else:
            batches.append([index])
            num_tokens = lengths[index]
    return [tuple(batch) for batch in batches]


def _stretched(batches: Sequence[Indices], count: int) -> list[Indices]:
    """The same samples in `count` micro-batches: the fullest are halved, then empty ones pad."""
    stretched = list(batches)
    while len(stretched) < count:
        fullest = max(range(len(stretched)), key=lambda i: len(stretched[i]), default=None)
        if fullest is None or len(stretched[fullest]) < 2:
            stretched += [()] * (count - len(stretched))
        else:
            batch = stretched[fullest]
            half = len(batch) // 2
            stretched[fullest : fullest + 1] = [batch[:half], batch[half:]]
    return stretched
