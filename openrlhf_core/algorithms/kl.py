"""Per-token estimates of KL(policy || reference) from log-probs of sampled tokens."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from openrlhf_core.spec.kinds.rl import KLEstimator

EXPONENT_BOUND = 10.0
"""Beyond it K3 goes on as its tangent: value and gradient stay finite, and the gradient keeps its
sign."""


def kl_per_token(
    logprobs: Float[Tensor, "*shape"],
    ref_logprobs: Float[Tensor, "*shape"],
    estimator: KLEstimator,
) -> Float[Tensor, "*shape"]:
    """Returns an estimate of KL(policy || reference) at each token, from joschu.net/blog/kl-approx.

    With d = logprobs - ref_logprobs of a token drawn from the policy: K1 = d (unbiased, can be
    negative), K2 = d^2 / 2 (its gradient is that of the KL), K3 = exp(-d) - 1 + d (unbiased and
    never negative).
    """
    difference = logprobs - ref_logprobs
    if estimator == "K1":
        return difference
    if estimator == "K2":
        return 0.5 * difference.square()
    return bounded_expm1(-difference) + difference


def bounded_expm1(exponent: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Returns exp(x) - 1 up to x = EXPONENT_BOUND and its tangent there beyond.

    expm1 keeps the digits of a small x, where exp(x) in float32 rounds to 1.
    """
    excess = torch.relu(exponent - EXPONENT_BOUND)
    return torch.expm1(exponent.clamp(max=EXPONENT_BOUND)) + math.exp(EXPONENT_BOUND) * excess
