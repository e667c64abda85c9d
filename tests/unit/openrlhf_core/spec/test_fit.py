"""Whether a plan fits, and the smallest change that makes it fit."""

import pytest

from openrlhf_core.spec.planning.fit import Change, estimate, smallest_change
from openrlhf_core.spec.planning.memory import ModelShape

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


def test_nothing_is_said_to_be_too_large_when_the_memory_is_unknown(hybrid):
    assert estimate(hybrid(), SEVEN_BILLION, None).problems == []


def test_a_sleeping_role_holds_nothing_in_the_others_phase(hybrid):
    (awake,) = estimate(hybrid(sleep="Never"), SEVEN_BILLION, 80 * GIB).groups
    (asleep,) = estimate(hybrid(), SEVEN_BILLION, 80 * GIB).groups
    assert asleep.learner is not None and asleep.engine is not None
    assert asleep.phases["rollout"] == asleep.engine.peak
    assert asleep.phases["train"] == asleep.learner.peak
    assert awake.phases["rollout"] == asleep.engine.peak + asleep.learner.states
    assert awake.phases["train"] == asleep.learner.peak + asleep.engine.peak


def test_the_engine_takes_its_share_of_the_device(hybrid):
    (group,) = estimate(hybrid(rollout={"memoryFraction": 0.25}), SEVEN_BILLION, 80 * GIB).groups
    assert group.engine is not None
    assert group.engine.peak == 20 * GIB


def test_a_reference_is_counted_where_it_lives(hybrid):
    without = estimate(hybrid(), SEVEN_BILLION, 80 * GIB).groups[0]
    with_one = estimate(hybrid(kl=0.1), SEVEN_BILLION, 80 * GIB).groups[0]
    assert without.reference is None
    assert with_one.reference == 2 * SEVEN_BILLION.num_parameters
    assert with_one.phases["train"] - without.phases["train"] == with_one.reference


def test_what_does_not_fit_is_said_with_its_numbers(hybrid):
    (problem,) = estimate(hybrid(), SEVEN_BILLION, 80 * GIB).problems
    assert problem.startswith("group all: train needs ")
    assert "of a device's 80.0 GiB" in problem


def test_one_field_is_changed_where_one_is_enough(hybrid):
    assert smallest_change(hybrid(), SEVEN_BILLION, 80 * GIB) == (
        Change("learner.gradientCheckpointing", True),
    )


def test_a_change_that_is_offered_makes_it_fit_and_validates(hybrid):
    training = hybrid(rollout={"memoryFraction": 0.9})
    for gib in (24, 32, 40, 64):
        changes = smallest_change(training, SEVEN_BILLION, gib * GIB)
        assert changes is None or 1 <= len(changes) <= 3
    assert smallest_change(training, SEVEN_BILLION, 40 * GIB) is not None


def test_a_hopeless_plan_gets_no_advice(hybrid):
    assert smallest_change(hybrid(devices=1), SEVEN_BILLION, GIB) is None


def test_an_engine_without_room_for_one_sequence_is_said(hybrid):
    problems = estimate(hybrid(rollout={"memoryFraction": 0.2}), SEVEN_BILLION, 64 * GIB).problems
    assert any("one longest sequence needs" in problem for problem in problems)
