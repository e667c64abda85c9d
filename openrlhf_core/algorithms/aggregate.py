"""Masked reductions, and the loss weights that make per-token losses the loss of an optimizer step.

An optimizer step spreads over micro-batches, ranks and slices of a sequence. Each token carries a
weight, so that the plain sum of weight x loss over all of them is the loss of the step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from openrlhf_core.spec.kinds.rl import Aggregation


@dataclass(frozen=True)
class LossAggregation:
    """How the losses of an optimizer step's targets become one number.

    With N the targets of the step, S its samples, B its micro-batches (those with a target, over
    all ranks) and n the targets of the sample, b those of its micro-batch, a target weighs:
    TokenMean 1/N (DAPO, arXiv:2503.14476, equation 8); SequenceMean 1/(S n) (GRPO,
    arXiv:2402.03300, equation 3); ConstantLength 1/(S x length) (Dr. GRPO, arXiv:2503.20783,
    section 3.1); MicroBatchTokenMean 1/(B b).
    """

    kind: Aggregation = "TokenMean"
    length: int = 1
    """The longest completion, by which ConstantLength divides."""

    def weights(self, targets: Sequence[Sequence[int]]) -> list[list[float]]:
        """Returns the weight of a target of each sample.

        `targets` has the number of targets of every sample of the optimizer step, by micro-batch,
        over all ranks. A sample without targets counts nowhere and has weight 0.

        >>> LossAggregation("SequenceMean").weights([[1, 4], [2]])
        [[0.3333333333333333, 0.08333333333333333], [0.16666666666666666]]
        """
        num_targets = sum(map(sum, targets))
        num_samples = sum(count > 0 for batch in targets for count in batch)
        num_batches = sum(any(batch) for batch in targets)

        def divisor(count: int, batch: Sequence[int]) -> int:
            if self.kind == "TokenMean":
                return num_targets
            if self.kind == "SequenceMean":
                return num_samples * count
            if self.kind == "ConstantLength":
                return num_samples * self.length
            return num_batches * sum(batch)

        return [[1 / divisor(n, batch) if n else 0.0 for n in batch] for batch in targets]


def target_weights(targets: Bool[np.ndarray, "seq"], weight: float) -> Float32[np.ndarray, "seq"]:
    """Returns the weight at each target and 0 elsewhere."""
    return np.where(targets, np.float32(weight), np.float32(0))


def keep(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Returns the values where the mask is true and 0 elsewhere, whatever was there."""
    return values.masked_fill(~mask, 0.0)


def masked_sum(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Returns the sum of the values where the mask is true; others, NaN too, do not count."""
    return keep(values, mask).sum()


def masked_max(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Returns the largest value where the mask is true; minus infinity when it is true nowhere."""
    kept = values.masked_fill(~mask, -torch.inf)
    return kept.max() if kept.numel() else kept.new_tensor(-torch.inf)


def weighted_sum(
    losses: Float[Tensor, "*shape"], weights: Float[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """Returns the sum of weight x loss; a loss with weight 0 does not count, even if it is NaN."""
    return masked_sum(losses * weights, weights != 0)
