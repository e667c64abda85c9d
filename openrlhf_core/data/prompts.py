"""The run's stream of prompts: position -> Prompt, the same in every process and after a resume."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property

from openrlhf_core.data.prompt_datasets import PromptDataset
from openrlhf_core.data.sampler import IndexSampler
from openrlhf_core.samples import Prompt


class PromptStream:
    """Datasets mixed by weight, without end. The data cursor of a run is its next position."""

    def __init__(self, datasets: Sequence[PromptDataset], seed: int) -> None:
        self._datasets = tuple(datasets)
        self._sampler = IndexSampler(
            sizes=tuple(len(dataset) for dataset in datasets),
            weights=tuple(dataset.weight for dataset in datasets),
            seed=seed,
        )

    @property
    def epoch_size(self) -> int:
        """Prompts of one pass over the training data, every dataset by its weight."""
        return self._sampler.epoch_size

    @property
    def num_left_out(self) -> int:
        """Prompts longer than `promptMaxLength`, over all datasets."""
        return sum(dataset.num_left_out for dataset in self._datasets)

    @property
    def longest_prompt(self) -> int:
        """Tokens of the longest prompt that is left in."""
        return max(dataset.longest for dataset in self._datasets)

    def batch(self, position: int, count: int) -> list[Prompt]:
        """The `count` prompts from `position` on; a prompt's id is its position."""
        rows = self._sampler.batch(position, count)
        return [
            self._prompt(position + offset, self._datasets[dataset], row)
            for offset, (dataset, row) in enumerate(rows)
        ]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides `batch` but the seed and the time that a template shows."""
        parts = [[d.name, d.weight, len(d), d.digest] for d in self._datasets]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _prompt(self, position: int, dataset: PromptDataset, row: int) -> Prompt:
        return Prompt(
            prompt_id=position,
            text=dataset.texts[row],
            token_ids=dataset.prompt_ids(row),
            label=dataset.labels[row],
            columns=dataset.columns[row],
            dataset=dataset.name,
        )
