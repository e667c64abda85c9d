"""Presets: what an algorithm's name fills in."""

from typing import get_args

import pytest

from openrlhf_core.spec.kinds.learner import LearnerSpec
from openrlhf_core.spec.kinds.rl import AdvantageSpec, Algorithm, KLSpec, PolicyLossSpec, RLSpec
from openrlhf_core.spec.kinds.rollout import RolloutSpec
from openrlhf_core.spec.planning.presets import (
    GROUP_ESTIMATORS,
    PRESETS,
    resolve_learner,
    resolve_rl,
    resolve_rollout,
)


def test_every_algorithm_has_a_preset():
    assert set(PRESETS) == set(get_args(Algorithm))


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
def test_a_bare_algorithm_resolves_to_its_preset(algorithm):
    settings = resolve_rl(RLSpec(algorithm=algorithm))
    preset = PRESETS[algorithm]
    assert (settings.advantage, settings.policy_loss, settings.kl) == (
        preset.advantage,
        preset.policy_loss,
        preset.kl,
    )


def test_what_the_manifest_says_wins_even_when_it_is_zero():
    settings = resolve_rl(
        RLSpec(
            algorithm="RLOO",
            kl=KLSpec(coefficient=0.0),
            advantage=AdvantageSpec(gamma=0.0, normalization="Center"),
            policy_loss=PolicyLossSpec(clip_high=0.28, dual_clip=3.0, aggregation="SequenceMean"),
        )
    )
    assert not settings.kl.needs_reference
    assert (settings.kl.placement, settings.kl.estimator) == ("Reward", "K1")
    assert (settings.advantage.estimator, settings.advantage.gamma) == ("LeaveOneOut", 0.0)
    assert settings.advantage.normalization == "Center"
    assert (settings.policy_loss.clip_low, settings.policy_loss.clip_high) == (0.2, 0.28)
    assert (settings.policy_loss.dual_clip, settings.policy_loss.aggregation) == (
        3.0,
        "SequenceMean",
    )


def test_grpo_loads_no_reference_and_reinforce_plus_plus_does():
    assert not resolve_rl(RLSpec(algorithm="GRPO")).kl.needs_reference
    assert resolve_rl(RLSpec(algorithm="ReinforcePlusPlus")).kl.needs_reference


def test_only_plain_returns_do_without_a_group():
    assert {p.advantage.estimator for p in PRESETS.values()} - set(GROUP_ESTIMATORS) == {"Return"}


def test_one_optimizer_step_a_rollout_is_the_default():
    rl = resolve_rl(RLSpec(algorithm="GRPO", group_size=4, rollout_batch_size=6))
    learner = resolve_learner(LearnerSpec(dtype="Float32"), rl)
    assert learner.train_batch_size == 24
    assert learner.max_tokens_per_micro_batch == 16384


def test_a_micro_batch_size_replaces_the_token_budget():
    rl = resolve_rl(RLSpec(algorithm="GRPO"))
    learner = resolve_learner(LearnerSpec(micro_batch_size=2, train_batch_size=64), rl)
    assert (learner.micro_batch_size, learner.max_tokens_per_micro_batch) == (2, None)
    assert (learner.train_batch_size, learner.dtype) == (64, "BFloat16")


def test_engines_take_the_learners_number_format_unless_they_have_their_own():
    learner = LearnerSpec(dtype="Float32")
    assert resolve_rollout(RolloutSpec(), learner).dtype == "Float32"
    assert resolve_rollout(RolloutSpec(dtype="BFloat16"), learner).dtype == "BFloat16"


def test_engines_keep_every_other_field_of_the_manifest():
    spec = RolloutSpec(tensor_parallel_size=2, memory_fraction=0.3, prefix_caching=False)
    settings = resolve_rollout(spec, LearnerSpec())
    for name in set(RolloutSpec.model_fields) - {"dtype"}:
        assert getattr(settings, name) == getattr(spec, name)
