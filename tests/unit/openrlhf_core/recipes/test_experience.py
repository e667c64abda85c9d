"""From scored completions to training samples, by hand-computed cases."""

from dataclasses import replace

import numpy as np
import pytest
from sample_builders import make_rollout

from openrlhf_core.recipes.rl.experience import (
    KnownLogprobs,
    describe,
    make_policy_samples,
    policy_lag,
)
from openrlhf_core.samples import Prompt, ScoredRollout
from openrlhf_core.spec.kinds.rl import RLSpec
from openrlhf_core.spec.planning.presets import resolve_rl

NOTHING_KNOWN = KnownLogprobs(None, None)


def make_scored(score: float | None, completion: int = 2, group: int = 0) -> ScoredRollout:
    """A prompt of two tokens, a completion of `completion` tokens."""
    prompt = Prompt(group, "2+3=", np.array([7, 9], dtype=np.int32))
    parts = {} if score is None else {"default": score}
    return ScoredRollout(make_rollout(prompt, range(completion), logprob=-0.5), score, parts)


def described(scored: list[ScoredRollout], group_size: int = 2) -> dict[str, float]:
    """Metrics of a step of GRPO that needs no forward pass before its update."""
    settings = resolve_rl(RLSpec(algorithm="GRPO", group_size=group_size))
    samples = make_policy_samples(scored, NOTHING_KNOWN, settings)
    return describe(scored, samples, NOTHING_KNOWN, settings.kl)


def test_grpo_advantages_lie_on_completion_tokens() -> None:
    # Scores 1 and 0: mean 0.5, standard deviation (divisor 1) 0.7071, so +-0.7071.
    samples = make_policy_samples(
        [make_scored(1.0), make_scored(0.0, completion=3)],
        NOTHING_KNOWN,
        resolve_rl(RLSpec(algorithm="GRPO", group_size=2)),
    )
    np.testing.assert_allclose(samples[0].advantages, [0, 0, 0.7071, 0.7071], atol=1e-4)
    np.testing.assert_allclose(samples[1].advantages, [0, 0, -0.7071, -0.7071, -0.7071], atol=1e-4)
    assert samples[0].action_mask.tolist() == [False, False, True, True]
    np.testing.assert_allclose(samples[0].rollout_logprobs, [0, 0, -0.5, -0.5])
    assert samples[0].old_logprobs is None


def test_a_sample_without_a_score_is_trained_on_by_nobody() -> None:
    samples = make_policy_samples(
        [make_scored(1.0), make_scored(0.0), make_scored(None)],
        NOTHING_KNOWN,
        resolve_rl(RLSpec(algorithm="GRPO", group_size=3)),
    )
    assert not samples[2].action_mask.any()
    np.testing.assert_allclose(samples[0].advantages[-1], 0.7071, atol=1e-4)


def test_kl_in_the_reward_is_taken_from_the_token_rewards() -> None:
    # ReinforcePlusPlus, no whitening, gamma 1, K1 = old - reference = 0.5 a token, coefficient 0.1:
    # token rewards -0.05 and 2 - 0.05, so returns 1.9 and 1.95.
    settings = resolve_rl(RLSpec(algorithm="ReinforcePlusPlus", group_size=1))
    settings = replace(
        settings,
        advantage=replace(settings.advantage, normalization="None"),
        kl=replace(settings.kl, coefficient=0.1),
    )
    old = [np.array([0, -1, -0.5, -0.5], dtype=np.float32)]
    reference = [np.array([0, -3, -1.0, -1.0], dtype=np.float32)]
    known = KnownLogprobs(old, reference)
    samples = make_policy_samples([make_scored(2.0)], known, settings)
    np.testing.assert_allclose(samples[0].advantages, [0, 0, 1.9, 1.95], atol=1e-6)
    assert samples[0].ref_logprobs is None
    metrics = describe([make_scored(2.0)], samples, known, settings.kl)
    assert metrics["kl/mean"] == pytest.approx(0.5)
    assert metrics["rollout/logprob_gap"] == 0.0


def test_metrics_leave_out_what_has_no_sample() -> None:
    metrics = described([make_scored(None)])
    assert metrics["reward/failed_ratio"] == 1.0
    assert "reward/mean" not in metrics
    assert not {"kl/mean", "advantage/mean"} & set(metrics)


def test_metrics_count_lengths_scores_and_groups_without_a_signal() -> None:
    scored = [make_scored(1.0, 2, 0), make_scored(1.0, 4, 0), make_scored(0.0, 3, 1)]
    scored.append(make_scored(1.0, 3, 1))
    metrics = described(scored)
    assert metrics["response/length_mean"] == 3.0
    assert metrics["response/length_max"] == 4.0
    assert metrics["rollout/num_tokens"] == 12.0
    assert metrics["reward/mean"] == 0.75
    assert metrics["reward/uniform_group_ratio"] == 0.5


def test_advantages_are_described_over_the_trained_tokens() -> None:
    # +-0.7071 on 2 and 3 tokens, a failed sample on none: mean (2 - 3) / 5 * 0.7071 = -0.1414 and
    # mean square 0.5, so a standard deviation of sqrt(0.5 - 0.02) = 0.6928.
    scored = [make_scored(1.0), make_scored(0.0, completion=3), make_scored(None, completion=7)]
    metrics = described(scored, group_size=3)
    assert metrics["advantage/mean"] == pytest.approx(-0.1414, abs=1e-4)
    assert metrics["advantage/std"] == pytest.approx(0.6928, abs=1e-4)


def test_policy_lag_is_the_mean_over_the_tokens_that_the_policy_made() -> None:
    # Three tokens of version 4 and one of version 6; the policy is at 7: (3 * 3 + 1) / 4 = 2.5.
    prompt = Prompt(0, "2+3=", np.array([7, 9], dtype=np.int32))
    rollouts = [make_rollout(prompt, range(3), version=4), make_rollout(prompt, [0], version=6)]
    assert policy_lag(rollouts, 7) == 2.5
