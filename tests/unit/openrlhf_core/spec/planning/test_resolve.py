"""Everything that follows from a training spec."""

import pytest

from openrlhf_core.spec.planning.resolve import resolve
from openrlhf_core.spec.planning.roles import roles_of


def test_nothing_is_left_open(make_training):
    training = make_training(rl={"algorithm": "RLOO", "groupSize": 4, "rolloutBatchSize": 6})
    resolved = resolve(training)
    assert resolved.spec is training
    assert resolved.roles == roles_of(training)
    assert resolved.rl is not None and resolved.rl.kl.coefficient == 0.01
    assert list(resolved.learners) == ["Policy"]
    assert resolved.learners["Policy"].train_batch_size == 24
    assert resolved.rollout is not None and resolved.rollout.dtype == "BFloat16"


def test_the_plan_has_the_ranks_of_every_needed_role(make_training):
    plan = resolve(make_training(rl={"algorithm": "RLOO"})).plan
    assert list(plan.ranks) == ["Policy", "Reference"]
    assert len(plan.engines) == 1


def test_equal_specs_resolve_alike(make_training):
    assert resolve(make_training()) == resolve(make_training())


def test_a_spec_without_a_plan_is_refused(make_training):
    groups = [{"name": "gen", "roles": ["Rollout"]}]
    with pytest.raises(ValueError, match="0 groups list the role Policy"):
        resolve(make_training(placement={"groups": groups}))
