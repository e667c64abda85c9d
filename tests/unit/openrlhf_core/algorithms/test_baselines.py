"""Scores less their baseline: every estimator by hand, and what all of them keep to."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openrlhf_core.algorithms.baselines import ESTIMATORS, shape_scores
from openrlhf_core.spec.kinds.rl import Estimator
from openrlhf_core.spec.planning.presets import GROUP_ESTIMATORS

MEAN_BASELINES = ("GroupNorm", "GroupMean", "LeaveOneOut")


def test_every_estimator_of_the_spec_has_its_function():
    assert set(ESTIMATORS) == set(get_args(Estimator))


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        # Scores 1, 2, 6 of a group: mean 3, deviation sqrt((4 + 1 + 9) / 2) = 2.645751
        ("GroupMean", [-2.0, -1.0, 3.0]),
        ("GroupNorm", [-2 / 2.645751, -1 / 2.645751, 3 / 2.645751]),
        ("LeaveOneOut", [1 - 4.0, 2 - 3.5, 6 - 1.5]),
        ("Return", [1.0, 2.0, 6.0]),
    ],
)
def test_estimator_equals_the_hand_computed_baseline(estimator, expected):
    shaped, is_usable = shape_scores(np.array([1.0, 2.0, 6.0]), np.zeros(3, int), estimator)
    np.testing.assert_allclose(shaped, expected, atol=1e-5)
    assert is_usable.all()


def test_groups_may_lie_in_any_order():
    shaped, _ = shape_scores(np.array([1.0, 10.0, 3.0, 20.0]), np.array([7, 2, 7, 2]), "GroupMean")
    assert shaped.tolist() == [-1.0, -5.0, 1.0, 5.0]


@pytest.mark.parametrize("estimator", GROUP_ESTIMATORS)
def test_a_group_of_equal_scores_teaches_nothing(estimator):
    shaped, _ = shape_scores(np.full(8, 0.1), np.zeros(8, int), estimator)
    np.testing.assert_allclose(shaped, 0.0, atol=1e-9)


@pytest.mark.parametrize("estimator", GROUP_ESTIMATORS)
def test_a_failed_score_is_in_no_statistic(estimator):
    whole, _ = shape_scores(np.array([1.0, 2.0, 6.0]), np.zeros(3, int), estimator)
    holed, is_usable = shape_scores(np.array([1.0, np.nan, 2.0, 6.0]), np.zeros(4, int), estimator)
    np.testing.assert_allclose(holed, [whole[0], 0.0, whole[1], whole[2]], atol=1e-12)
    assert is_usable.tolist() == [True, False, True, True]


@given(
    scores=st.lists(st.floats(-5, 5), min_size=2, max_size=12),
    shift=st.floats(-10, 10),
    estimator=st.sampled_from(MEAN_BASELINES),
)
@settings(max_examples=60, deadline=None)
def test_advantages_of_a_group_sum_to_zero_and_ignore_a_shift(scores, shift, estimator):
    groups = np.zeros(len(scores), int)
    shaped, _ = shape_scores(np.array(scores), groups, estimator)
    shifted, _ = shape_scores(np.array(scores) + shift, groups, estimator)
    assert abs(shaped.sum()) < 1e-6
    if estimator != "GroupNorm" or np.std(scores) > 1e-3:
        np.testing.assert_allclose(shifted, shaped, atol=1e-6)


def test_leave_one_out_baseline_excludes_the_own_score():
    shaped, _ = shape_scores(np.array([4.0, 1.0, 1.0]), np.zeros(3, int), "LeaveOneOut")
    assert shaped[0] == pytest.approx(4.0 - 1.0)
