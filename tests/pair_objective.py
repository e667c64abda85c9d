"""An objective of two rows a sample, unlike the policy's: the engine must train it all the same.

The loss of a pair is -log sigmoid(log-prob of its first row - log-prob of its second).
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from openrlhf_core.algorithms.aggregate import weighted_sum
from openrlhf_core.objectives.micro_batch import MicroBatch, TokenRow
from openrlhf_core.objectives.objective import Loss, Sum
from openrlhf_core.objectives.outputs import LogprobTensors, TokenLogprobs


@dataclass(frozen=True, eq=False)
class Pair:
    """Token ids of two rows, the better one first."""

    rows: tuple[np.ndarray, np.ndarray]
    weight: float = 0.0
    num_targets: int = 1

    @property
    def row_lengths(self) -> tuple[int, ...]:
        return tuple(map(len, self.rows))

    def with_loss_weight(self, weight: float) -> "Pair":
        return replace(self, weight=weight)


@dataclass(frozen=True)
class PairObjective:
    """Implements Objective."""

    output: TokenLogprobs = field(default_factory=TokenLogprobs)
    area: ClassVar[str] = "policy"

    def rows(self, sample: Pair) -> tuple[TokenRow, ...]:
        return tuple(
            TokenRow(ids, np.arange(len(ids)) > 0, np.zeros(len(ids), np.float32))
            for ids in sample.rows
        )

    def loss(self, outputs: LogprobTensors, batch: MicroBatch[Pair]) -> Loss:
        # An empty batch has no pair, and still needs a loss with a gradient.
        weights = torch.tensor([pair.weight for pair in batch.samples])
        margins = row_sums(outputs.logprobs, batch).reshape(-1, 2) @ torch.tensor([1.0, -1.0])
        losses = -logsigmoid(margins)
        is_right = (margins.detach() > 0).sum()
        return Loss(
            weighted_sum(losses, weights) + 0.0 * outputs.logprobs.sum(),
            sums={"policy/clip_ratio": Sum(is_right, torch.tensor(len(batch.samples)))},
        )


def row_sums(values: Tensor, batch: MicroBatch[Pair]) -> Tensor:
    """The sum over each row, [rows]."""
    sums = values.new_zeros(len(batch.layout.lengths) + 1)
    sums = sums.index_add(0, batch.row_ids.flatten().clamp(min=-1) + 1, values.flatten())
    return sums[1:]
