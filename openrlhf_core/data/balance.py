"""Plans optimizer steps: which samples share a micro-batch, on which rank, with which loss weight.

Works for the samples of every objective. Samples of similar length share a micro-batch, so that
little is padded. Ranks get similar numbers of tokens and the same number of micro-batches, because
all ranks take part in every collective.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from openrlhf_core.algorithms.aggregate import LossAggregation
from openrlhf_core.data.sampler import shuffled
from openrlhf_core.objectives.objective import S
from openrlhf_core.samples import OptimizerBatch

Indices = tuple[int, ...]


class Size(NamedTuple):
    """How large one sample or one micro-batch is."""

    longest: int
    """Tokens of the longest row."""
    num_tokens: int
    num_rows: int
    num_samples: int

    @staticmethod
    def of(row_lengths: Sequence[int]) -> "Size":
        """The size of one sample."""
        return Size(max(row_lengths), sum(row_lengths), len(row_lengths), 1)

    def with_next(self, other: "Size") -> "Size":
        """The size of both together."""
        return Size(
            max(self.longest, other.longest),
            self.num_tokens + other.num_tokens,
            self.num_rows + other.num_rows,
            self.num_samples + other.num_samples,
        )


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

    def admits(self, size: Size) -> bool:
        """Whether a micro-batch may be of this size."""
        if self.micro_batch_size is not None:
            return size.num_samples <= self.micro_batch_size
        assert self.max_tokens is not None
        num_tokens = size.num_tokens if self.packing else size.num_rows * size.longest
        return num_tokens <= self.max_tokens


def plan_updates(
    samples: Sequence[S],
    *,
    train_batch_size: int,
    num_ranks: int,
    epochs: int,
    key: tuple[int, ...],
    limits: BatchLimits,
    aggregation: LossAggregation,
) -> list[list[OptimizerBatch[S]]]:
    """Returns the optimizer steps of one rollout: [step][rank] -> batch.

    Each epoch takes every sample with a target once, in an order that depends only on `key`, as
    (run seed, step), and the epoch. It has ceil(len(samples) / train_batch_size) steps of equal
    size (give or take one), however many samples are masked; a step that would be empty is left
    out.
    """
    live = [index for index, sample in enumerate(samples) if sample.num_targets]
    steps = min(-(-len(samples) // train_batch_size), len(live))
    batches = []
    for epoch in range(epochs if steps else 0):
        order = [live[index] for index in shuffled(len(live), (*key, epoch))]
        for chosen in np.array_split(order, steps):
            share = [samples[i] for i in chosen]
            batches.append(_optimizer_step(share, num_ranks, limits, aggregation))
    return batches


def plan_forward(
    row_lengths: Sequence[Sequence[int]], num_ranks: int, limits: BatchLimits
) -> list[list[Indices]]:
    """Returns micro-batches of sample indices for each rank: [rank][micro-batch] -> indices.

    `row_lengths` has the lengths of each sample's rows. Every rank has the same number of
    micro-batches (empty ones fill up) and every index is in exactly one.
    """
    sizes = [Size.of(lengths) for lengths in row_lengths]
    shares = _shares(sizes, num_ranks)
    plans = [_micro_batches(share, sizes, limits) for share in shares]
    count = max(map(len, plans))
    return [_stretched(plan, count) for plan in plans]


def _optimizer_step(
    samples: Sequence[S], num_ranks: int, limits: BatchLimits, aggregation: LossAggregation
) -> list[OptimizerBatch[S]]:
    plan = plan_forward([sample.row_lengths for sample in samples], num_ranks, limits)
    batches = [[[samples[i] for i in indices] for indices in rank] for rank in plan]
    targets = [[sample.num_targets for sample in batch] for rank in batches for batch in rank]
    weights = iter(aggregation.weights(targets))
    return [
        OptimizerBatch(
            tuple(
                tuple(s.with_loss_weight(w) for s, w in zip(batch, next(weights), strict=True))
                for batch in rank
            )
        )
        for rank in batches
    ]


def _shares(sizes: Sequence[Size], num_ranks: int) -> list[list[int]]:
    """Returns each rank's samples, longest first: the next goes to the rank with the fewest tokens.

    Longest processing time first (Graham 1969): at most 4/3 of the best makespan.
    """
    shares: list[list[int]] = [[] for _ in range(num_ranks)]
    loads = [(0, 0, rank) for rank in range(num_ranks)]
    for index in sorted(range(len(sizes)), key=lambda i: (-sizes[i].longest, i)):
        load, num_samples, rank = heapq.heappop(loads)
        shares[rank].append(index)
        heapq.heappush(loads, (load + sizes[index].num_tokens, num_samples + 1, rank))
    return shares


def _micro_batches(
    share: Sequence[int], sizes: Sequence[Size], limits: BatchLimits
) -> list[Indices]:
    """Fills micro-batches up to the limit with samples that are sorted by length, longest first."""
    batches: list[list[int]] = []
    size = Size(0, 0, 0, 0)
    for index in share:
        size = size.with_next(sizes[index])
        if batches and limits.admits(size):
            batches[-1].append(index)
        else:
            batches.append([index])
            size = sizes[index]
    return [tuple(batch) for batch in batches]


def _stretched(batches: Sequence[Indices], count: int) -> list[Indices]:
    """Returns the samples in `count` micro-batches: halves the fullest, then adds empty ones."""
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
