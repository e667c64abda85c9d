"""The loss of one micro-batch and the sums that a step's metrics are made of."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from openrlhf_core.algorithms.aggregate import StepCounts, aggregate_loss, masked_max, masked_sum
from openrlhf_core.algorithms.kl import kl_per_token
from openrlhf_core.algorithms.policy_loss import clipped_surrogate
from openrlhf_core.engines.learner_settings import PolicyObjective
from openrlhf_core.samples import MicroBatch


@dataclass(frozen=True)
class StepSums:
    """What micro-batches and ranks add up to; `sums` and `maxima` are reduced as such."""

    sums: Float64[Tensor, "6"]
    """Loss, clipped tokens, kl from the rollout's policy, entropy, kl from the reference,
    |engine - learner|, over action tokens."""
    maxima: Float64[Tensor, "2"]
    """Ratio, |engine - learner|."""

    @staticmethod
    def zero(device: torch.device) -> "StepSums":
        zeros = torch.zeros(6, dtype=torch.float64, device=device)
        return StepSums(zeros, torch.full_like(zeros[:2], -math.inf))

    def plus(self, other: "StepSums") -> "StepSums":
        return StepSums(self.sums + other.sums, torch.maximum(self.maxima, other.maxima))


def policy_step(
    batch: MicroBatch,
    logprobs: Float[Tensor, "batch seq"],
    entropies: Float[Tensor, "batch seq"],
    objective: PolicyObjective,
    counts: StepCounts,
) -> tuple[Float[Tensor, ""], StepSums]:
    """This micro-batch's share of the step's loss, and its sums.

    Loss of a token: clipped surrogate + coefficient x KL (when it is placed in the loss) - entropy
    coefficient x entropy.
    """
    current = logprobs.detach()
    old_logprobs = current if batch.old_logprobs is None else batch.old_logprobs
    surrogate = clipped_surrogate(
        logprobs,
        old_logprobs,
        batch.advantages,
        clip_low=objective.policy_loss.clip_low,
        clip_high=objective.policy_loss.clip_high,
        dual_clip=objective.policy_loss.dual_clip,
    )
    losses = surrogate.losses
    kl = torch.zeros_like(current)
    if batch.ref_logprobs is not None:
        kl = kl_per_token(logprobs, batch.ref_logprobs, objective.kl.estimator)
        if objective.kl.placement == "Loss":
            losses = losses + objective.kl.coefficient * kl
    if objective.entropy_coefficient:
        losses = losses - objective.entropy_coefficient * entropies
    loss = aggregate_loss(
        losses,
        batch.action_mask,
        batch.sample_ids,
        aggregation=objective.policy_loss.aggregation,
        counts=counts,
        max_completion_tokens=objective.max_completion_tokens,
    )
    gaps = (current - batch.rollout_logprobs).abs()
    mask = batch.action_mask
    drift = kl_per_token(old_logprobs, current, "K3")
    summed = (surrogate.is_clipped.float(), drift, entropies.detach(), kl.detach(), gaps)
    sums = torch.stack([loss.detach(), *(masked_sum(values, mask) for values in summed)])
    maxima = torch.stack([masked_max(surrogate.ratios, mask), masked_max(gaps, mask)])
    return loss, StepSums(sums.double(), maxima.double())


def policy_metrics(
    total: StepSums, num_action_tokens: int, has_reference: bool
) -> dict[str, float]:
    """Metrics of a step from its sums over all ranks; one without tokens has its loss alone."""
    loss, clipped, drift, entropy, kl, gap = total.sums.tolist()
    metrics = {"policy/loss": loss}
    if num_action_tokens == 0:
        return metrics
    metrics["policy/clip_ratio"] = clipped / num_action_tokens
    metrics["policy/approx_kl"] = drift / num_action_tokens
    metrics["entropy/mean"] = entropy / num_action_tokens
    metrics["rollout/logprob_gap"] = gap / num_action_tokens
    metrics["ratio/max"], metrics["rollout/logprob_gap_max"] = total.maxima.tolist()
    if has_reference:
        metrics["kl/mean"] = kl / num_action_tokens
    return metrics
