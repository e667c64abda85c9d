"""Generalized advantage estimation (arXiv:1506.02438, equations 11 and 16) over ragged samples."""

import numpy as np
from jaxtyping import Float64, Int64

from openrlhf_core.algorithms.advantages import returns_to_go


def generalized_advantages(
    rewards: Float64[np.ndarray, "tokens"],
    values: Float64[np.ndarray, "tokens"],
    owners: Int64[np.ndarray, "tokens"],
    *,
    gamma: float,
    lam: float,
) -> tuple[Float64[np.ndarray, "tokens"], Float64[np.ndarray, "tokens"]]:
    """Returns advantages and returns of the action tokens of a batch, laid end to end.

    delta_t = reward_t + gamma V_{t+1} - V_t, with V = 0 after a sample's last action;
    A_t = sum over k >= 0 of (gamma lam)^k delta_{t+k}, within the sample; return_t = A_t + V_t.

    `values[t]` is the critic's value of the state before token t is drawn; `owners[t]` is the
    sample that token t belongs to. Tokens that the model did not make are left out by the caller,
    so that time runs over action tokens only.
    """
    next_values = np.zeros_like(values)
    is_followed = owners[1:] == owners[:-1]
    next_values[:-1][is_followed] = values[1:][is_followed]
    deltas = rewards + gamma * next_values - values
    advantages = returns_to_go(deltas, owners, gamma * lam)
    return advantages, advantages + values
