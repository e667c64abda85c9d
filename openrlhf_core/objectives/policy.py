"""The objective of recipe RL: the clipped surrogate, with a KL term and an entropy bonus."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32
from torch import Tensor

from openrlhf_core.algorithms.aggregate import (
    keep,
    masked_max,
    masked_sum,
    target_weights,
    weighted_sum,
)
from openrlhf_core.algorithms.kl import kl_per_token
from openrlhf_core.algorithms.policy_loss import clipped_surrogate
from openrlhf_core.objectives.micro_batch import MicroBatch, TokenRow
from openrlhf_core.objectives.objective import Loss, Sum
from openrlhf_core.objectives.outputs import LogprobTensors, TokenLogprobs
from openrlhf_core.spec.planning.presets import KLSettings, PolicyLossSettings


@dataclass(frozen=True, eq=False)
class PolicySample:
    """A rollout ready to learn from. Made by the recipe, read by learners.

    Example: PolicySample(token_ids=[7, 9, 8, 5, 11, 1], action_mask=[0, 0, 0, 0, 1, 1],
    advantages=[0, 0, 0, 0, 0.7, 0.7], rollout_logprobs=[0, 0, 0, 0, -0.2, -0.1])
    """

    token_ids: Int32[np.ndarray, "seq"]
    action_mask: Bool[np.ndarray, "seq"]
    """True where the token was made by the model and is trained on; False at index 0."""
    advantages: Float32[np.ndarray, "seq"]
    rollout_logprobs: Float32[np.ndarray, "seq"]
    old_logprobs: Float32[np.ndarray, "seq"] | None = None
    """None: the update is the first on these samples, so the current log-probs are the old ones."""
    ref_logprobs: Float32[np.ndarray, "seq"] | None = None
    """None: no KL term in the loss."""
    loss_weights: Float32[np.ndarray, "seq"] | None = None
    """Factor of each token's loss, 0 where action_mask is False. None: not planned yet."""

    @property
    def row_lengths(self) -> tuple[int, ...]:
        return (len(self.token_ids),)

    @property
    def num_targets(self) -> int:
        """Trained tokens."""
        return int(self.action_mask.sum())

    def with_loss_weight(self, weight: float) -> "PolicySample":
        """Returns the sample with this factor at each trained token."""
        return replace(self, loss_weights=target_weights(self.action_mask, weight))


@dataclass(frozen=True)
class PolicyObjective:
    """Loss of a token: clipped surrogate + coefficient x KL (where it is placed in the loss)
    - entropy coefficient x entropy."""

    policy_loss: PolicyLossSettings
    kl: KLSettings
    entropy_coefficient: float
    output: TokenLogprobs
    area: ClassVar[str] = "policy"

    def rows(self, sample: PolicySample) -> tuple[TokenRow, ...]:
        if sample.loss_weights is None:
            raise ValueError("the sample has no loss_weights; data.balance.plan_updates adds them")
        return (TokenRow(sample.token_ids, sample.action_mask, sample.loss_weights),)

    def loss(self, outputs: LogprobTensors, batch: MicroBatch[PolicySample]) -> Loss:
        tokens = PolicyTokens.of(outputs, batch)
        surrogate = clipped_surrogate(
            tokens.logprobs,
            tokens.old_logprobs,
            tokens.advantages,
            clip_low=self.policy_loss.clip_low,
            clip_high=self.policy_loss.clip_high,
            dual_clip=self.policy_loss.dual_clip,
        )
        losses, kl = surrogate.losses, None
        if tokens.ref_logprobs is not None:
            kl = kl_per_token(tokens.logprobs, tokens.ref_logprobs, self.kl.estimator)
            if self.kl.placement == "Loss":
                losses = losses + self.kl.coefficient * kl
        if self.entropy_coefficient:
            losses = losses - self.entropy_coefficient * tokens.entropies
        gaps = (tokens.current - tokens.rollout_logprobs).abs()
        return Loss(
            total=weighted_sum(losses, batch.loss_weights),
            sums={
                "policy/clip_ratio": tokens.sum(surrogate.is_clipped.float()),
                "policy/approx_kl": tokens.sum(
                    kl_per_token(tokens.old_logprobs, tokens.current, "K3")
                ),
                "entropy/mean": tokens.sum(tokens.entropies),
                "kl/mean": tokens.sum(kl),
                "rollout/logprob_gap": tokens.sum(gaps),
            },
            maxima={
                "ratio/max": masked_max(surrogate.ratios, tokens.mask),
                "rollout/logprob_gap_max": masked_max(gaps, tokens.mask),
            },
        )


@dataclass(frozen=True, eq=False)
class PolicyTokens:
    """What the loss is computed from, [batch, seq], with 0 at tokens that are not trained on.

    The inputs are replaced there, because a gradient through an infinite input would be NaN even
    where the output is masked.
    """

    mask: Bool[Tensor, "batch seq"]
    logprobs: Float[Tensor, "batch seq"]
    entropies: Float[Tensor, "batch seq"]
    advantages: Float32[Tensor, "batch seq"]
    rollout_logprobs: Float32[Tensor, "batch seq"]
    old_logprobs: Float[Tensor, "batch seq"]
    ref_logprobs: Float32[Tensor, "batch seq"] | None

    @staticmethod
    def of(outputs: LogprobTensors, batch: MicroBatch[PolicySample]) -> "PolicyTokens":
        """Lays out the samples of a micro-batch beside the model's tensors."""
        mask, samples = batch.selected, batch.samples
        logprobs = keep(outputs.logprobs, mask)
        old = all_or_none("old_logprobs", [sample.old_logprobs for sample in samples])
        ref = all_or_none("ref_logprobs", [sample.ref_logprobs for sample in samples])

        def place(values: Sequence[np.ndarray]) -> Tensor:
            return keep(batch.place(values), mask)

        return PolicyTokens(
            mask=mask,
            logprobs=logprobs,
            entropies=keep(outputs.entropies, mask),
            advantages=place([sample.advantages for sample in samples]),
            rollout_logprobs=place([sample.rollout_logprobs for sample in samples]),
            old_logprobs=logprobs.detach() if old is None else place(old),
            ref_logprobs=None if ref is None else place(ref),
        )

    @property
    def current(self) -> Float[Tensor, "batch seq"]:
        """The log-probs without their gradient."""
        return self.logprobs.detach()

    def sum(self, values: Float[Tensor, "batch seq"] | None) -> Sum:
        """Returns the sum over trained tokens and their number; None is a sum over nothing."""
        if values is None:
            nothing = torch.zeros((), device=self.mask.device)
            return Sum(nothing, nothing)
        return Sum(masked_sum(values.detach(), self.mask), self.mask.sum())


def all_or_none(name: str, values: Sequence[np.ndarray | None]) -> list[np.ndarray] | None:
    """Returns the arrays, or None where no sample has one; ValueError where only some have."""
    present = [value for value in values if value is not None]
    if present and len(present) < len(values):
        raise ValueError(f"{name} is None in {len(values) - len(present)} of {len(values)} samples")
    return present or None
