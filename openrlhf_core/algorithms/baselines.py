"""A score less its baseline: one function for each estimator, in the table ESTIMATORS."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from openrlhf_core.spec.kinds.rl import Estimator
from openrlhf_core.spec.planning.presets import GROUP_ESTIMATORS

DEVIATION_FLOOR = 1e-6
"""Added to a group's standard deviation, so that equal scores give zeros and no division by 0."""


@dataclass(frozen=True, eq=False)
class GroupScores:
    """The scores of a rollout batch and the means of their groups, by sample.

    Example: scores 1, 3 and one that failed, of one group: scores=[1, 3, 0],
    is_scored=[True, True, False], sizes=[2, 2, 2], means=[2, 2, 2].
    """

    scores: Float64[np.ndarray, "batch"]
    """0 where the reward failed."""
    is_scored: Bool[np.ndarray, "batch"]
    groups: Int64[np.ndarray, "batch"]
    """The group of each sample, numbered from 0."""
    sizes: Float64[np.ndarray, "batch"]
    """Scored samples in the group of each sample."""
    means: Float64[np.ndarray, "batch"]

    @staticmethod
    def of(
        scores: Float[np.ndarray, "batch"], group_ids: Int64[np.ndarray, "batch"]
    ) -> "GroupScores":
        is_scored = np.isfinite(scores)
        known = np.where(is_scored, scores, 0.0).astype(np.float64)
        groups = np.unique(group_ids, return_inverse=True)[1].reshape(-1)
        sizes = np.bincount(groups, weights=is_scored)[groups].astype(np.float64)
        means = np.bincount(groups, weights=known)[groups] / np.maximum(sizes, 1)
        return GroupScores(known, is_scored, groups, sizes, means)

    @property
    def centred(self) -> Float64[np.ndarray, "batch"]:
        """Score - mean of the group; 0 where the reward failed."""
        centred: np.ndarray = np.where(self.is_scored, self.scores - self.means, 0.0)
        return centred

    @property
    def others(self) -> Float64[np.ndarray, "batch"]:
        """Scored samples in the group beside the sample itself, at least 1."""
        others: np.ndarray = np.maximum(self.sizes - 1, 1)
        return others


def shape_scores(
    scores: Float[np.ndarray, "batch"], group_ids: Int64[np.ndarray, "batch"], estimator: Estimator
) -> tuple[Float64[np.ndarray, "batch"], Bool[np.ndarray, "batch"]]:
    """Scores less their baseline, and which samples have one; 0 for the others.

    An estimator whose baseline is the group needs two scored samples in it.
    """
    batch = GroupScores.of(scores, group_ids)
    is_usable = batch.is_scored
    if estimator in GROUP_ESTIMATORS:
        is_usable = is_usable & (batch.sizes >= 2)
    return np.where(is_usable, ESTIMATORS[estimator](batch), 0.0), is_usable


def group_norm(batch: GroupScores) -> Float64[np.ndarray, "batch"]:
    """(score - mean) / (standard deviation, divisor n - 1) (GRPO, arXiv:2402.03300, 4.1.2)."""
    squares = np.bincount(batch.groups, weights=batch.centred**2)[batch.groups]
    normed: np.ndarray = batch.centred / (np.sqrt(squares / batch.others) + DEVIATION_FLOOR)
    return normed


def group_mean(batch: GroupScores) -> Float64[np.ndarray, "batch"]:
    """Score - mean (Dr. GRPO, arXiv:2503.20783)."""
    return batch.centred


def leave_one_out(batch: GroupScores) -> Float64[np.ndarray, "batch"]:
    """Score - mean of the others (RLOO, arXiv:2402.14740, equation 8)."""
    # score - (sum - score) / (n - 1)  =  (score - mean) x n / (n - 1)
    left_out: np.ndarray = batch.centred * batch.sizes / batch.others
    return left_out


def no_baseline(batch: GroupScores) -> Float64[np.ndarray, "batch"]:
    """The score itself."""
    return batch.scores


ESTIMATORS: dict[Estimator, Callable[[GroupScores], Float64[np.ndarray, "batch"]]] = {
    "GroupNorm": group_norm,
    "GroupMean": group_mean,
    "LeaveOneOut": leave_one_out,
    "Return": no_baseline,
}
