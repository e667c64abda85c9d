"""The clipped surrogate loss of PPO, per token."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LOG_RATIO_BOUND = 20.0
"""exp(20) = 4.9e8: far beyond any clip range and still finite in float32."""


@dataclass(frozen=True)
class ClippedSurrogate:
    """The loss of each token, and what metrics are made of."""

    losses: Float[Tensor, "*shape"]
    ratios: Float[Tensor, "*shape"]
    """Probability of the token under the current policy / under the old one."""
    is_clipped: Bool[Tensor, "*shape"]
    """True where a bound decided the loss, so that the token has no gradient."""


def clipped_surrogate(
    logprobs: Float[Tensor, "*shape"],
    old_logprobs: Float[Tensor, "*shape"],
    advantages: Float[Tensor, "*shape"],
    *,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None,
) -> ClippedSurrogate:
    """Returns max(-r A, -clip(r, 1 - clip_low, 1 + clip_high) A) with r = exp(logprob - old).

    PPO, arXiv:1707.06347, equation 7; separate bounds as in DAPO, arXiv:2503.14476, equation 10.
    `dual_clip` c bounds the loss of a negative advantage by -c A (arXiv:1912.09729, equation 5).
    """
    log_ratios = (logprobs - old_logprobs).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)
    ratios = torch.exp(log_ratios)
    plain = -ratios * advantages
    clipped = -ratios.clamp(1.0 - clip_low, 1.0 + clip_high) * advantages
    losses = torch.maximum(plain, clipped)
    is_clipped = clipped > plain
    if dual_clip is not None:
        bound = -dual_clip * advantages
        is_bounded = (advantages < 0) & (bound < losses)
        losses = torch.where(is_bounded, bound, losses)
        is_clipped = is_clipped | is_bounded
    return ClippedSurrogate(losses, ratios.detach(), is_clipped)
