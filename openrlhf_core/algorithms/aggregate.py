"""Masked reductions, and how per-token losses become the one loss of an optimizer step.

An optimizer step spreads over micro-batches and data-parallel ranks. Each micro-batch yields its
share of the loss, divided by counts of the whole step, so that plain sums over micro-batches and
ranks give the loss, however the samples were laid out.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from openrlhf_core.spec.kinds.rl import Aggregation


@dataclass(frozen=True)
class StepCounts:
    """What the loss of one optimizer step is divided by, counted over all ranks."""

    num_action_tokens: int
    num_samples: int
    """Samples with a trained token."""
    num_micro_batches: int
    """Micro-batches with a trained token."""


def masked_sum(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Sum of the values where the mask is true; what lies elsewhere, NaN too, plays no part."""
    return values.masked_fill(~mask, 0.0).sum()


def masked_max(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Largest value where the mask is true; minus infinity when it is true nowhere."""
    kept = values.masked_fill(~mask, -torch.inf)
    return kept.max() if kept.numel() else kept.new_tensor(-torch.inf)


def token_weights(
    mask: Bool[Tensor, "batch seq"],
    sample_ids: Int64[Tensor, "batch seq"],
    aggregation: Aggregation,
    counts: StepCounts,
    max_completion_tokens: int,
) -> Float[Tensor, "batch seq"]:
    """The factor of each token's loss, so that the step's loss is the sum of factor x loss.

    With m the mask, N the action tokens, S the samples and B the micro-batches of the step:
    TokenMean m/N (DAPO, arXiv:2503.14476, equation 8); SequenceMean m/(S x tokens of the sample)
    (GRPO, arXiv:2402.03300, equation 3); ConstantLength m/(S x max_completion_tokens) (Dr. GRPO,
    arXiv:2503.20783, section 3.1); MicroBatchTokenMean m/(B x tokens of the micro-batch).
    """
    weights = mask.to(torch.float32)
    if aggregation == "TokenMean":
        return weights / max(counts.num_action_tokens, 1)
    if aggregation == "ConstantLength":
        return weights / max(counts.num_samples * max_completion_tokens, 1)
    if aggregation == "MicroBatchTokenMean":
        return weights / (weights.sum().clamp(min=1.0) * max(counts.num_micro_batches, 1))
    return weights / (_tokens_of_own_sample(weights, sample_ids) * max(counts.num_samples, 1))


def aggregate_loss(
    losses: Float[Tensor, "batch seq"],
    mask: Bool[Tensor, "batch seq"],
    sample_ids: Int64[Tensor, "batch seq"],
    *,
    aggregation: Aggregation,
    counts: StepCounts,
    max_completion_tokens: int,
) -> Float[Tensor, ""]:
    """This micro-batch's share of the step's loss; `token_weights` says how tokens count."""
    weights = token_weights(mask, sample_ids, aggregation, counts, max_completion_tokens)
    return masked_sum(losses * weights, mask)


def _tokens_of_own_sample(
    weights: Float[Tensor, "batch seq"], sample_ids: Int64[Tensor, "batch seq"]
) -> Float[Tensor, "batch seq"]:
    """Action tokens of the sample that each token belongs to, at least 1."""
    owner = sample_ids.clamp(min=0).flatten()  # padding has no action tokens: any owner will do
    totals = weights.new_zeros(weights.numel() + 1).index_add(0, owner, weights.flatten())
    return totals[owner].clamp(min=1.0).view_as(weights)
