"""GAE against hand-computed numbers, its two limits, and a loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.algorithms.advantages import returns_to_go
from openrlhf_core.algorithms.gae import generalized_advantages


def by_loop(rewards, values, owners, gamma, lam):
    """A_t = delta_t + gamma lam A_{t+1}, from the last token backwards."""
    advantages = np.zeros(len(rewards))
    for t in range(len(rewards) - 1, -1, -1):
        is_last = t + 1 == len(rewards) or owners[t + 1] != owners[t]
        next_value = 0.0 if is_last else values[t + 1]
        delta = rewards[t] + gamma * next_value - values[t]
        advantages[t] = delta + (0.0 if is_last else gamma * lam * advantages[t + 1])
    return advantages


def test_a_case_computed_by_hand() -> None:
    # Sample 0: rewards 0, 1; values 0.5, 0.4. delta = [0 + 0.9 * 0.4 - 0.5, 1 - 0.4] = [-0.14, 0.6]
    # A = [-0.14 + 0.9 * 0.8 * 0.6, 0.6] = [0.292, 0.6]. Sample 1: one token, delta = 2 - 1 = 1.
    advantages, returns = generalized_advantages(
        np.array([0.0, 1.0, 2.0]),
        np.array([0.5, 0.4, 1.0]),
        np.array([0, 0, 1]),
        gamma=0.9,
        lam=0.8,
    )
    np.testing.assert_allclose(advantages, [0.292, 0.6, 1.0], atol=1e-12)
    np.testing.assert_allclose(returns, [0.792, 1.0, 2.0], atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_any_batch_equals_the_recursion(seed: int, gamma: float, lam: float) -> None:
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(5), rng.integers(0, 7, 5))
    rewards, values = rng.normal(size=(2, len(owners)))
    advantages, _ = generalized_advantages(rewards, values, owners, gamma=gamma, lam=lam)
    expected = by_loop(rewards, values, owners, gamma, lam)
    np.testing.assert_allclose(advantages, expected, atol=1e-9)


def test_lambda_one_is_the_return_less_the_value() -> None:
    rng = np.random.default_rng(3)
    owners = np.array([0, 0, 0, 1, 1])
    rewards, values = rng.normal(size=(2, 5))
    advantages, returns = generalized_advantages(rewards, values, owners, gamma=0.9, lam=1.0)
    np.testing.assert_allclose(returns, returns_to_go(rewards, owners, 0.9), atol=1e-12)
    np.testing.assert_allclose(advantages, returns - values, atol=1e-12)


def test_lambda_zero_is_the_error_of_one_step() -> None:
    advantages, _ = generalized_advantages(
        np.array([1.0, 2.0]), np.array([3.0, 5.0]), np.array([0, 0]), gamma=1.0, lam=0.0
    )
    np.testing.assert_allclose(advantages, [1 + 5 - 3, 2 - 5])


def test_an_empty_batch_has_no_advantages() -> None:
    advantages, returns = generalized_advantages(
        np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64), gamma=1.0, lam=0.95
    )
    assert advantages.size == returns.size == 0


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_perfect_values_leave_no_advantage(lam: float) -> None:
    owners = np.array([0, 0, 0])
    rewards = np.array([0.0, 0.0, 1.0])
    values = returns_to_go(rewards, owners, 0.9)
    advantages, _ = generalized_advantages(rewards, values, owners, gamma=0.9, lam=lam)
    np.testing.assert_allclose(advantages, 0.0, atol=1e-12)
