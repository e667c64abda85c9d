"""Per-token estimates of KL(policy || reference) from log-probs of sampled tokens."""

import torch
from jaxtyping import Float
from torch import Tensor

from openrlhf_core.spec.kinds.rl import KLEstimator

EXPONENT_BOUND = 10.0
"""Above it K3's exponential goes on as its tangent: finite, and the gradient keeps its sign."""


def kl_per_token(
    logprobs: Float[Tensor, "*shape"],
    ref_logprobs: Float[Tensor, "*shape"],
    estimator: KLEstimator,
) -> Float[Tensor, "*shape"]:
    """Estimate of KL(policy || reference) at each token, from joschu.net/blog/kl-approx.html.

    With d = logprobs - ref_logprobs of a token drawn from the policy: K1 = d (unbiased, can be
    negative), K2 = d^2 / 2 (its gradient is that of the KL), K3 = exp(-d) - 1 + d (unbiased and
    never negative).
    """
    difference = logprobs - ref_logprobs
    if estimator == "K1":
        return difference
    if estimator == "K2":
        return 0.5 * difference.square()
    return bounded_exp(-difference) - 1.0 + difference


def bounded_exp(exponent: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """exp(x) up to x = EXPONENT_BOUND, its tangent there beyond: finite with finite gradient."""
    excess = torch.relu(exponent - EXPONENT_BOUND)
    return torch.exp(exponent.clamp(max=EXPONENT_BOUND)) * (1.0 + excess)
