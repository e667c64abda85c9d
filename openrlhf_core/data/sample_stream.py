"""The run's stream of training samples: data cursor -> samples, the same after every resume."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from openrlhf_core.data.sampler import IndexSampler

S = TypeVar("S")


@dataclass(frozen=True, eq=False)
class SampleDataset(Generic[S]):
    """One dataset, tokenised. Made by a recipe's loader."""

    name: str
    weight: float
    """How often one epoch passes over it."""
    samples: Sequence[S]
    digest: str
    """Hash of everything that decides the samples, but the time that a template may show."""
    num_too_long: int = 0
    """Rows of which nothing that is trained on fits `maxLength`."""
    num_bad: int = 0
    """Rows that were skipped because they cannot be used."""


class SampleStream(Generic[S]):
    """Datasets mixed by weight, without end. A batch depends on the data cursor alone."""

    def __init__(self, datasets: Sequence[SampleDataset[S]], seed: int) -> None:
        self._datasets = tuple(datasets)
        self._sampler = IndexSampler(
            sizes=tuple(len(dataset.samples) for dataset in datasets),
            weights=tuple(dataset.weight for dataset in datasets),
            seed=seed,
        )

    @property
    def epoch_size(self) -> int:
        """Samples of one pass over the training data, every dataset by its weight."""
        return self._sampler.epoch_size

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides `batch` but the seed."""
        parts = [[d.name, d.weight, len(d.samples), d.digest] for d in self._datasets]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def batch(self, cursor: int, count: int) -> list[S]:
        """Returns the `count` samples from the data cursor on."""
        rows = self._sampler.batch(cursor, count)
        return [self._datasets[dataset].samples[row] for dataset, row in rows]
