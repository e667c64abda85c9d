"""Which row stands at which position of the stream: a pure function of (seed, position).

Nothing is kept between calls that is not computed again alike, so that a data cursor is one
number, in a checkpoint and after a change of the number of ranks.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class IndexSampler:
    """Positions 0, 1, 2, ... to (dataset, row), epoch after epoch.

    An epoch takes round(weight x rows) rows of each dataset, at least one, in an order of its own
    over all datasets. The rows of a dataset come from shuffled passes laid end to end: weight 2
    takes every row twice an epoch, weight 0.5 the first half of a pass in one epoch and the other
    half in the next.

    Example: sizes (4,), weights (0.5,): epoch 0 may hold rows 2, 0, then epoch 1 holds 1, 3.
    """

    sizes: tuple[int, ...]
    weights: tuple[float, ...]
    seed: int

    @property
    def counts(self) -> tuple[int, ...]:
        """Rows that an epoch takes of each dataset."""
        pairs = zip(self.sizes, self.weights, strict=True)
        return tuple(max(1, round(size * weight)) for size, weight in pairs)

    @property
    def epoch_size(self) -> int:
        """Positions of an epoch."""
        return sum(self.counts)

    def at(self, position: int) -> tuple[int, int]:
        """(index of the dataset, its row) at a position of the stream."""
        epoch, place = divmod(position, self.epoch_size)
        slot = int(shuffled(self.epoch_size, (self.seed, 0, epoch))[place])
        dataset = 0
        for count in self.counts:
            if slot < count:
                break
            slot -= count
            dataset += 1
        size = self.sizes[dataset]
        number, row = divmod(epoch * self.counts[dataset] + slot, size)
        return dataset, int(shuffled(size, (self.seed, 1 + dataset, number))[row])

    def batch(self, position: int, count: int) -> list[tuple[int, int]]:
        """`at` of `count` positions from `position` on."""
        return [self.at(index) for index in range(position, position + count)]


@lru_cache(maxsize=64)
def shuffled(size: int, key: tuple[int, ...]) -> np.ndarray:
    """A permutation of 0..size-1, int64, that depends on nothing but its arguments.

    Sorts the indices by splitmix64 (Steele, Lea, Flood 2014) of each, so that no version of a
    library can change the order of a resumed run.
    """
    start = 0
    for part in key:
        start = _mix(start ^ (part & _MASK))
    indices = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(_GOLDEN) + np.uint64(start)
    order: np.ndarray = np.argsort(_mix_array(indices), kind="stable")
    order.flags.writeable = False  # the cache hands it out again
    return order


def _mix(value: int) -> int:
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _mix_array(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
