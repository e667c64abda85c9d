"""Advantages: every estimator by hand, their invariances, an independent slow version, speed."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openrlhf_core.algorithms.advantages import compute_advantages, returns_to_go

GROUP_ESTIMATORS = ("GroupNorm", "GroupMean", "LeaveOneOut")


def masks(*lengths, prompt=1):
    return [np.array([False] * prompt + [True] * length) for length in lengths]


def advantages(scores, group_ids, action_masks, kl=None, **options):
    defaults = {
        "estimator": "GroupMean",
        "gamma": 1.0,
        "normalization": "None",
        "kl_coefficient": 0.0,
    }
    return compute_advantages(
        np.array(scores, float), np.array(group_ids), action_masks, kl, **{**defaults, **options}
    )


@pytest.mark.parametrize("estimator", GROUP_ESTIMATORS)
def test_a_group_with_one_scored_sample_has_zero_advantage(estimator):
    result = advantages(
        [5.0, np.nan, 1.0, 2.0], [0, 0, 1, 1], masks(2, 2, 2, 2), None, estimator=estimator
    )
    assert result[0].tolist() == [0.0, 0.0, 0.0]
    assert result[1].tolist() == [0.0, 0.0, 0.0]
    assert result[2][1] < 0 < result[3][1]


def test_score_lands_on_the_last_action_token_and_flows_back_by_gamma():
    # gamma 0.5, score 8 at the third token: 2, 4, 8
    (result,) = advantages([8.0], [0], masks(3), None, estimator="Return", gamma=0.5)
    assert result.tolist() == [0.0, 2.0, 4.0, 8.0]


def test_kl_in_the_reward_is_subtracted_at_every_action_token():
    # rewards -0.1 x [1, 2, 3] and +1 at the end; sums to go: 1 - 0.6, 1 - 0.5, 1 - 0.3
    kl = [np.array([9.0, 1.0, 2.0, 3.0], np.float32)]
    (result,) = advantages([1.0], [0], masks(3), kl, estimator="Return", kl_coefficient=0.1)
    np.testing.assert_allclose(result, [0.0, 0.4, 0.5, 0.7], atol=1e-6)


def test_tokens_between_turns_are_skipped():
    mask = np.array([False, True, False, False, True, True])
    (result,) = advantages([8.0], [0], [mask], None, estimator="Return", gamma=0.5)
    assert result.tolist() == [0.0, 2.0, 0.0, 0.0, 4.0, 8.0]


def test_whitening_gives_mean_zero_and_variance_one_over_action_tokens():
    result = advantages(
        [1.0, 2.0, 4.0], [0, 1, 2], masks(5, 1, 3), None, estimator="Return", normalization="Whiten"
    )
    tokens = np.concatenate([one[1:] for one in result])
    assert tokens.mean() == pytest.approx(0.0, abs=1e-6)
    assert tokens.var() == pytest.approx(1.0, abs=1e-5)


def test_centering_keeps_the_scale_and_leaves_failed_samples_at_zero():
    # Tokens 1, 1 and 4: mean 2; the failed sample counts in nothing.
    result = advantages(
        [1.0, np.nan, 4.0],
        [0, 1, 2],
        masks(2, 3, 1),
        None,
        estimator="Return",
        normalization="Center",
    )
    assert [one.tolist() for one in result] == [[0, -1, -1], [0, 0, 0, 0], [0, 2]]


def test_a_sample_without_action_tokens_gets_zeros():
    result = advantages([1.0, 3.0], [0, 0], [np.zeros(3, bool), np.array([False, True])])
    assert [one.tolist() for one in result] == [[0.0, 0.0, 0.0], [0.0, 1.0]]


def test_no_samples_give_no_advantages():
    assert advantages([], np.zeros(0, int), []) == []


def test_all_failed_scores_give_zeros_under_whitening():
    result = advantages([np.nan, np.nan], [0, 0], masks(2, 1), None, normalization="Whiten")
    assert [one.tolist() for one in result] == [[0, 0, 0], [0, 0]]


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    gamma=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_returns_by_doubling_equal_the_plain_recursion(lengths, gamma, seed):
    owners = np.repeat(np.arange(len(lengths)), lengths)
    rewards = np.random.default_rng(seed).normal(size=len(owners))
    expected = rewards.copy()
    for token in range(len(rewards) - 2, -1, -1):
        if owners[token] == owners[token + 1]:
            expected[token] += gamma * expected[token + 1]
    np.testing.assert_allclose(returns_to_go(rewards, owners, gamma), expected, atol=1e-12)


def test_ten_thousand_samples_take_few_cpu_seconds():
    generator = np.random.default_rng(0)
    action_masks = masks(*generator.integers(1, 400, 10_000))
    kl = [np.zeros(len(mask), np.float32) for mask in action_masks]
    start = time.process_time()
    advantages(
        generator.normal(size=10_000),
        np.arange(10_000) // 8,
        action_masks,
        kl,
        estimator="GroupNorm",
        gamma=0.99,
        normalization="Whiten",
        kl_coefficient=0.1,
    )
    assert time.process_time() - start < 5.0
