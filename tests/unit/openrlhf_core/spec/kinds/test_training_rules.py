"""The rules of a training about its recipe, batches and data."""

import pytest

from openrlhf_core.spec.kinds.recipes import RECIPES, Recipe
from openrlhf_core.spec.kinds.training_rules import part_rules
from openrlhf_core.spec.reading.validate import violations
from openrlhf_core.spec.reading.yaml_reader import path_text

DATA = {"train": [{"source": "a.jsonl"}]}
TABLE = {
    "RL": RECIPES["RL"],
    "Toy": Recipe(requires=("reward",), defaults=(), allows=(), roles={"Policy": "Trained"}),
}


def fields_of(model) -> list[str]:
    return [path_text(found.path) for found in violations(model)]


def group(name, *roles, nodes=1, devices=1):
    return {"name": name, "roles": list(roles), "nodes": nodes, "devicesPerNode": devices}


def found_by_table(training) -> list[str]:
    """What the rules of TABLE find, as `field: message; fix`."""
    checks = [rule.check for rule in part_rules(TABLE) if rule.check is not None]
    found = [violation for check in checks for violation in check(training)]
    return [f"{path_text(item.path)}: {item.message}; {item.fix}" for item in found]


@pytest.mark.parametrize("part", ["rl", "reward"])
def test_a_part_that_the_recipe_needs_is_asked_for(make_training, part):
    (found,) = violations(make_training(**{part: None}))
    assert path_text(found.path) == part
    assert found.message == "is missing, and recipe RL needs it"


def test_a_part_that_another_recipe_reads_is_refused(make_training):
    toy = make_training().model_copy(update={"recipe": "Toy"})
    advice = (
        "is set, and recipe Toy does not read it; remove it, or take a recipe that reads it: RL"
    )
    assert found_by_table(toy) == [f"{part}: {advice}" for part in ("rl", "rollout", "weightSync")]


def test_a_recipe_without_a_part_does_without_it(make_training):
    absent = {"recipe": "Toy", "rl": None, "rollout": None, "weight_sync": None}
    assert found_by_table(make_training().model_copy(update=absent)) == []


def test_a_nested_part_is_judged_too(make_training):
    model = {"policy": {"source": "m"}, "reference": {"source": "m"}}
    absent = {"recipe": "Toy", "rl": None, "rollout": None, "weight_sync": None}
    (found,) = found_by_table(make_training(model=model).model_copy(update=absent))
    assert found.startswith("model.reference: is set")


def test_the_same_table_makes_the_rules_of_the_api_server():
    assert {rule.claim: rule.cel for rule in part_rules(TABLE)} == {
        "recipe RL needs rl": "self.recipe != 'RL' || has(self.rl)",
        "recipe RL needs reward": "self.recipe != 'RL' || has(self.reward)",
        "recipe Toy needs reward": "self.recipe != 'Toy' || has(self.reward)",
        "rl is only for recipe RL": "!has(self.rl) || self.recipe in ['RL']",
        "rollout is only for recipe RL": "!has(self.rollout) || self.recipe in ['RL']",
        "weightSync is only for recipe RL": "!has(self.weightSync) || self.recipe in ['RL']",
        "model.reference is only for recipe RL": "!has(self.model.reference) "
        "|| self.recipe in ['RL']",
    }


def test_parts_that_every_recipe_reads_need_no_rule():
    assert [rule.claim for rule in part_rules({"RL": RECIPES["RL"]})] == [
        "recipe RL needs rl",
        "recipe RL needs reward",
    ]


@pytest.mark.parametrize(
    ("length", "fields"),
    [
        ({"maxSteps": 1}, []),
        ({"maxSteps": None, "epochs": 1}, []),
        ({"maxSteps": 1, "epochs": 1}, ["epochs"]),
        ({"maxSteps": None}, ["maxSteps"]),
    ],
)
def test_a_run_has_exactly_one_length(make_training, length, fields):
    assert fields_of(make_training(**length)) == fields


@pytest.mark.parametrize(
    ("train_batch", "devices", "fields"),
    [
        (None, 1, []),
        (32, 8, []),
        (8, 8, []),
        (4, 8, ["learner.trainBatchSize"]),
        (64, 1, ["learner.trainBatchSize"]),
        (5, 4, ["learner.trainBatchSize"]),
        (None, 33, ["learner.trainBatchSize"]),
    ],
)
def test_the_train_batch_divides_the_rollout_and_feeds_every_rank(
    make_training, train_batch, devices, fields
):
    training = make_training(
        rl={"algorithm": "GRPO", "rolloutBatchSize": 8, "groupSize": 4},
        learner={"trainBatchSize": train_batch},
        placement={"groups": [group("all", "Policy", "Rollout", devices=devices)]},
    )
    assert fields_of(training) == fields


def test_the_divisor_that_is_offered_divides(make_training):
    training = make_training(
        rl={"algorithm": "GRPO", "rolloutBatchSize": 9, "groupSize": 5},
        learner={"trainBatchSize": 10},
    )
    (found,) = violations(training)
    assert found.fix == "take a divisor, as 9"


def test_a_chat_template_that_nothing_renders_is_a_problem(make_training):
    policy = {"source": "m", "chatTemplate": {"text": "x"}}
    unused = make_training(model={"policy": policy})
    assert fields_of(unused) == ["model.policy.chatTemplate"]
    used = make_training(model={"policy": policy}, data={**DATA, "applyChatTemplate": True})
    assert fields_of(used) == []
