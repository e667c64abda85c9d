"""Turns scores of completions into advantages of tokens.

Samples are ragged and laid end to end. In order: a group's baseline is subtracted from each score;
the result is the reward of the last action token, and -coefficient x kl is added at every action
token; an advantage is the discounted sum of the rewards from its token on; advantages may be
centred or whitened over all action tokens of the rollout batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from openrlhf_core.algorithms.baselines import shape_scores
from openrlhf_core.spec.kinds.rl import Estimator, Normalization

VARIANCE_FLOOR = 1e-8


@dataclass(frozen=True, eq=False)
class RaggedTokens:
    """The action tokens of a batch, end to end, in the order of the samples."""

    lengths: Int64[np.ndarray, "batch"]
    """Action tokens of each sample."""
    owners: Int64[np.ndarray, "tokens"]
    """Which sample each token belongs to."""

    @staticmethod
    def of(action_masks: Sequence[Bool[np.ndarray, "_"]]) -> "RaggedTokens":
        lengths = np.array([int(mask.sum()) for mask in action_masks], np.int64)
        return RaggedTokens(lengths, np.repeat(np.arange(len(lengths)), lengths))

    @property
    def last_tokens(self) -> Int64[np.ndarray, "nonempty"]:
        """Position of the last action token of each sample that has one."""
        return np.cumsum(self.lengths)[self.lengths > 0] - 1


def compute_advantages(
    scores: Float[np.ndarray, "batch"],
    group_ids: Int64[np.ndarray, "batch"],
    action_masks: Sequence[Bool[np.ndarray, "_"]],
    kl: Sequence[Float32[np.ndarray, "_"]] | None,
    *,
    estimator: Estimator,
    gamma: float,
    normalization: Normalization,
    kl_coefficient: float,
) -> list[Float32[np.ndarray, "_"]]:
    """Returns advantages of each sample's tokens, 0 where the action mask is false.

    A score is NaN where the reward failed: such a sample counts in no statistic and has advantage
    0. So has every sample of a group with fewer than two scores where the baseline is the group's.
    `kl` has one number for each token of each sample; None is no penalty in the reward.
    """
    tokens = RaggedTokens.of(action_masks)
    shaped, is_usable = shape_scores(scores, group_ids, estimator)
    rewards = np.zeros(int(tokens.lengths.sum()))
    if kl is not None and rewards.size:
        flat_kl = np.concatenate([one[mask] for one, mask in zip(kl, action_masks, strict=True)])
        rewards -= kl_coefficient * flat_kl
    rewards[tokens.last_tokens] += shaped[tokens.lengths > 0]
    advantages = returns_to_go(rewards, tokens.owners, gamma)
    advantages = normalize(advantages, is_usable[tokens.owners], normalization)
    return _per_sample(advantages, tokens, action_masks)


def returns_to_go(
    rewards: Float64[np.ndarray, "tokens"], owners: Int64[np.ndarray, "tokens"], gamma: float
) -> Float64[np.ndarray, "tokens"]:
    """Returns the sum over k >= 0 of gamma^k x the reward k tokens later, within the sample.

    By doubling: sums over the next 2 s tokens are made of two sums over s tokens. A batch needs
    log2(longest sample) passes and no padding.
    """
    returns = rewards.copy()
    span = 1
    while span < len(rewards):
        is_same = owners[span:] == owners[:-span]
        if not is_same.any():
            break
        returns[:-span] += np.where(is_same, gamma**span * returns[span:], 0.0)
        span *= 2
    return returns


def normalize(
    advantages: Float64[np.ndarray, "tokens"],
    is_usable: Bool[np.ndarray, "tokens"],
    normalization: Normalization,
) -> Float64[np.ndarray, "tokens"]:
    """Returns advantages with mean 0 (Center) and variance 1 (Whiten) over the usable tokens.

    Other tokens have advantage 0.
    """
    if normalization == "None" or not is_usable.any():
        return np.where(is_usable, advantages, 0.0)
    centred = advantages - advantages[is_usable].mean()
    if normalization == "Whiten":
        centred = centred / np.sqrt(centred[is_usable].var() + VARIANCE_FLOOR)
    return np.where(is_usable, centred, 0.0)


def _per_sample(
    advantages: Float64[np.ndarray, "tokens"],
    tokens: RaggedTokens,
    action_masks: Sequence[Bool[np.ndarray, "_"]],
) -> list[Float32[np.ndarray, "_"]]:
    placed = [np.zeros(len(mask), np.float32) for mask in action_masks]
    ends = np.cumsum(tokens.lengths)
    for whole, mask, length, end in zip(placed, action_masks, tokens.lengths, ends, strict=True):
        whole[mask] = advantages[end - length : end]
    return placed
