"""Whether a plan fits, and the smallest change that makes it fit."""

from dataclasses import replace

import pytest

from openrlhf_core.spec.planning.fit import Change, estimate, smallest_change
from openrlhf_core.spec.planning.memory import ModelShape
from openrlhf_core.spec.planning.resolve import resolve

SEVEN_BILLION = ModelShape(4096, 32, 11008, 32, 32, 128, 32000, False)
GIB = 2**30
ALL = ["Policy", "Reference", "Rollout"]


@pytest.fixture
def hybrid(make_training):
    def build(devices=8, kl=0.0, sleep="Auto", **fields):
        group = {"name": "all", "roles": ALL, "devicesPerNode": devices}
        return make_training(
            placement={"groups": [group], "sleep": sleep},
            rl={"algorithm": "GRPO", "kl": {"coefficient": kl}},
            **fields,
        )

    return build


def fit(training, device_gib):
    return estimate(resolve(training), SEVEN_BILLION, device_gib and device_gib * GIB)


def test_nothing_is_said_to_be_too_large_when_the_memory_is_unknown(hybrid):
    assert fit(hybrid(), None).problems == []


def test_a_sleeping_role_holds_nothing_in_the_others_phase(hybrid):
    (awake,) = fit(hybrid(sleep="Never"), 80).groups
    (asleep,) = fit(hybrid(), 80).groups
    learner, engine = asleep.roles["Policy"], asleep.roles["Rollout"]
    assert asleep.phases["rollout"] == engine.peak
    assert asleep.phases["train"] == learner.peak
    assert awake.phases["rollout"] == engine.peak + learner.at_rest
    assert awake.phases["train"] == learner.peak + engine.peak


def test_a_weight_sync_needs_the_whole_learner_and_the_engines_weights(hybrid):
    buckets = 2 * 2**28
    (asleep,) = fit(hybrid(), 80).groups
    learner, engine = asleep.roles["Policy"], asleep.roles["Rollout"]
    assert asleep.phases["weight_sync"] == learner.at_rest + engine.parameters + buckets
    (awake,) = fit(hybrid(sleep="Never"), 80).groups
    assert awake.phases["weight_sync"] == learner.at_rest + engine.peak + buckets


def test_the_engine_takes_its_share_of_the_device(hybrid):
    (group,) = fit(hybrid(rollout={"memoryFraction": 0.25}), 80).groups
    assert group.roles["Rollout"].peak == 20 * GIB


def test_every_rank_of_a_reference_holds_the_whole_model(hybrid):
    without = fit(hybrid(sleep="Never"), 80).groups[0]
    for stage in (2, 3):
        learner = {"zeroStage": stage}
        with_one = fit(hybrid(kl=0.1, sleep="Never", learner=learner), 80).groups[0]
        assert with_one.roles["Reference"].peak == 2 * SEVEN_BILLION.num_parameters
    assert "Reference" not in without.roles
    assert "logprob" not in without.phases


def test_a_reference_that_takes_turns_is_away_while_the_policy_trains(hybrid):
    without, with_one = fit(hybrid(), 80).groups[0], fit(hybrid(kl=0.1), 80).groups[0]
    assert with_one.phases["train"] == without.phases["train"]
    assert with_one.phases["logprob"] == 2 * SEVEN_BILLION.num_parameters


def test_a_group_has_the_phases_of_its_roles(make_training):
    groups = [{"name": "learn", "roles": ["Policy"]}, {"name": "gen", "roles": ["Rollout"]}]
    learn, gen = fit(make_training(placement={"groups": groups}), 80).groups
    assert list(learn.phases) == ["train", "weight_sync"]
    assert list(gen.phases) == ["rollout", "weight_sync"]


def test_a_recipe_without_engines_syncs_no_weights(make_training):
    parts = {"rl": None, "rollout": None, "weight_sync": None}
    groups = [{"name": "learn", "roles": ["Policy"]}, {"name": "gen", "roles": ["Rollout"]}]
    resolved = resolve(make_training(placement={"groups": groups}))
    (policy,) = [needed for needed in resolved.roles if needed.role == "Policy"]
    alone = replace(
        resolved,
        spec=resolved.spec.model_copy(update=parts),
        roles=(policy,),
        plan=replace(resolved.plan, groups=resolved.plan.groups[:1], engines=()),
        rl=None,
        rollout=None,
    )
    learn = estimate(alone, SEVEN_BILLION, 80 * GIB).groups[0]
    assert list(learn.phases) == ["train"]


def test_what_does_not_fit_is_said_with_its_numbers(hybrid):
    (problem,) = fit(hybrid(), 80).problems
    assert problem.startswith("group all: train needs ")
    assert "of a device's 80.0 GiB" in problem


def test_one_field_is_changed_where_one_is_enough(hybrid):
    assert smallest_change(resolve(hybrid()), SEVEN_BILLION, 80 * GIB) == (
        Change("learner.gradientCheckpointing", True),
    )


def test_a_change_that_is_offered_makes_it_fit_and_validates(hybrid):
    training = hybrid(rollout={"memoryFraction": 0.9})
    for gib in (24, 32, 40, 64):
        changes = smallest_change(resolve(training), SEVEN_BILLION, gib * GIB)
        assert changes is None or 1 <= len(changes) <= 3
    assert smallest_change(resolve(training), SEVEN_BILLION, 40 * GIB) is not None


def test_a_hopeless_plan_gets_no_advice(hybrid):
    assert smallest_change(resolve(hybrid(devices=1)), SEVEN_BILLION, GIB) is None


def test_an_engine_without_room_for_one_sequence_is_said(hybrid):
    problems = fit(hybrid(rollout={"memoryFraction": 0.2}), 64).problems
    assert any("one longest sequence needs" in problem for problem in problems)
