"""The critic's squared error, with PPO's clip around the value at the rollout."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ValueLosses:
    """Loss of each value, and whether the clipped error was the larger one."""

    losses: Float[Tensor, "*shape"]
    is_clipped: Bool[Tensor, "*shape"]


def clipped_value_loss(
    values: Float[Tensor, "*shape"],
    old_values: Float[Tensor, "*shape"],
    returns: Float[Tensor, "*shape"],
    *,
    clip: float | None,
) -> ValueLosses:
    """Returns 0.5 max((V - R)^2, (clip(V, V_old - clip, V_old + clip) - R)^2) of each value.

    As PPO's authors' code does (arXiv:2005.12729, section 3, item 1); `clip` None is the plain
    squared error.
    """
    errors = (values - returns) ** 2
    if clip is None:
        return ValueLosses(0.5 * errors, torch.zeros_like(errors, dtype=torch.bool))
    clipped = torch.clamp(values, old_values - clip, old_values + clip)
    clipped_errors = (clipped - returns) ** 2
    return ValueLosses(0.5 * torch.maximum(errors, clipped_errors), clipped_errors > errors)
