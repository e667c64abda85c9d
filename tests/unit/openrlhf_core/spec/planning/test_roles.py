"""Which roles a training starts, and why."""

import pytest

from openrlhf_core.spec.planning.roles import NeededRole, roles_of, why_not_needed


@pytest.fixture
def with_kl(make_training):
    def build(coefficient):
        return make_training(rl={"algorithm": "GRPO", "kl": {"coefficient": coefficient}})

    return build


def test_without_a_kl_term_only_policy_and_engines_are_started(with_kl):
    assert [(needed.role, needed.kind) for needed in roles_of(with_kl(0.0))] == [
        ("Policy", "Trained"),
        ("Rollout", "Engine"),
    ]


def test_a_kl_term_needs_a_frozen_reference_and_says_so(with_kl):
    reference = roles_of(with_kl(0.02))[1]
    assert reference == NeededRole("Reference", "Frozen", "rl.kl.coefficient is 0.02")


def test_the_preset_decides_where_the_manifest_is_silent(make_training):
    training = make_training(rl={"algorithm": "RLOO"})
    assert [needed.role for needed in roles_of(training)] == ["Policy", "Reference", "Rollout"]


def test_a_role_that_is_not_started_has_a_reason(with_kl):
    assert why_not_needed(with_kl(0.0), "Reference") == "rl.kl.coefficient is 0"
    assert why_not_needed(with_kl(0.02), "Reference") is None
    assert why_not_needed(with_kl(0.0), "Policy") is None
