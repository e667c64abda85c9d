"""The rules of a training about its placement: every needed role has devices that suit it."""

import pytest

from openrlhf_core.spec.kinds.placement_rules import role_rules
from openrlhf_core.spec.kinds.recipes import RECIPES, Recipe
from openrlhf_core.spec.reading.validate import violations
from openrlhf_core.spec.reading.yaml_reader import path_text


def fields_of(model) -> list[str]:
    return [path_text(found.path) for found in violations(model)]


def group(name, *roles, nodes=1, devices=1):
    return {"name": name, "roles": list(roles), "nodes": nodes, "devicesPerNode": devices}


@pytest.mark.parametrize(
    ("groups", "kl", "num_problems"),
    [
        ([group("a", "Policy", "Rollout")], 0.0, 0),
        ([group("a", "Policy", "Rollout")], 0.1, 1),
        ([group("a", "Policy", "Rollout", "Reference")], 0.1, 0),
        ([group("a", "Policy"), group("b", "Rollout"), group("c", "Rollout")], 0.0, 0),
        ([group("a", "Policy"), group("b", "Reference")], 0.0, 1),
        ([group("a", "Rollout")], 0.0, 1),
        ([group("a", "Policy", "Rollout"), group("b", "Policy")], 0.0, 1),
        ([group("a", "Policy", "Rollout", "Reference"), group("b", "Reference")], 0.1, 1),
        ([group("a", "Policy", "Rollout", "Reference"), group("b", "Reference")], 0.0, 0),
        ([group("a", "Reference")], 0.1, 2),
    ],
)
def test_every_needed_role_has_its_group(make_training, groups, kl, num_problems):
    training = make_training(
        rl={"algorithm": "GRPO", "kl": {"coefficient": kl}}, placement={"groups": groups}
    )
    assert fields_of(training) == ["placement.groups"] * num_problems


@pytest.mark.parametrize(
    ("size", "nodes", "devices", "is_sound"),
    [
        (1, 1, 1, True),
        (4, 1, 8, True),
        (8, 3, 8, True),
        (16, 2, 8, False),
        (16, 3, 8, False),
        (12, 3, 8, False),
        (3, 1, 8, False),
        (2, 1, 1, False),
    ],
)
def test_an_engine_lies_within_a_node(make_training, size, nodes, devices, is_sound):
    training = make_training(
        rollout={"tensorParallelSize": size},
        placement={"groups": [group("a", "Policy", "Rollout", nodes=nodes, devices=devices)]},
    )
    assert fields_of(training) == ([] if is_sound else ["rollout.tensorParallelSize"])


APART = [group("learn", "Policy"), group("generate", "Rollout")]
TOGETHER = [group("all", "Policy", "Rollout")]
MIXED = [group("all", "Policy", "Rollout"), group("more", "Rollout")]


@pytest.mark.parametrize(
    ("backend", "groups", "is_sound"),
    [
        ("Auto", APART, True),
        ("Auto", TOGETHER, True),
        ("Gloo", MIXED, True),
        ("NCCL", APART, True),
        ("NCCL", TOGETHER, False),
        ("NCCL", MIXED, False),
        ("CUDAIPC", TOGETHER, True),
        ("CUDAIPC", APART, False),
        ("CUDAIPC", MIXED, False),
    ],
)
def test_the_weights_can_travel_by_the_backend(make_training, backend, groups, is_sound):
    training = make_training(weightSync={"backend": backend}, placement={"groups": groups})
    assert fields_of(training) == ([] if is_sound else ["weightSync.backend"])


def test_a_role_is_asked_for_only_where_a_recipe_has_it():
    toy = Recipe(requires=(), defaults=(), allows=(), roles={"Policy": "Trained"})
    table = {"RL": RECIPES["RL"], "Toy": toy}
    rules = {rule.claim.split()[0]: rule.cel for rule in role_rules(table)}
    one = "self.placement.groups.filter(g, 'Policy' in g.roles).size() == 1"
    assert rules["Policy"] == one
    assert rules["Rollout"] == (
        "!(self.recipe in ['RL']) || self.placement.groups.exists(g, 'Rollout' in g.roles)"
    )
    assert rules["Reference"].startswith(
        "!(self.recipe in ['RL'] && (self.recipe != 'RL' || has(self.rl) && ("
    )
