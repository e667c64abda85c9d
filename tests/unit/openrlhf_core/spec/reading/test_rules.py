"""The rules that cross fields, one by one: what breaks each, where, and that its edge holds."""

import re

import pytest
from pydantic import BaseModel

from openrlhf_core.spec.kinds.data import DataSpec
from openrlhf_core.spec.kinds.job import RLHFJob, RLHFJobSpec
from openrlhf_core.spec.kinds.learner import LearnerSpec
from openrlhf_core.spec.kinds.model import ChatTemplateSpec
from openrlhf_core.spec.kinds.placement import PlacementSpec
from openrlhf_core.spec.kinds.rl import RLSpec
from openrlhf_core.spec.kinds.rollout import SamplingSpec
from openrlhf_core.spec.kinds.runtime import DeviceSpec
from openrlhf_core.spec.kinds.storage import CacheStorageSpec, OutputStorageSpec
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.reading.rules import RULES, rules_of
from openrlhf_core.spec.reading.spec_tree import field_names, spec_class_at
from openrlhf_core.spec.reading.validate import violations
from openrlhf_core.spec.reading.yaml_reader import path_text


def fields_of(model) -> list[str]:
    return [path_text(found.path) for found in violations(model)]


def group(name, *roles, nodes=1, devices=1):
    return {"name": name, "roles": list(roles), "nodes": nodes, "devicesPerNode": devices}


DATA = {"train": [{"source": "a.jsonl"}]}
PROMPTS = {**DATA, "inputTemplate": "Q: {}"}


@pytest.mark.parametrize(
    ("spec_class", "sound"),
    [
        (ChatTemplateSpec, {"text": "x"}),
        (ChatTemplateSpec, {"source": "/x"}),
        (LearnerSpec, {"microBatchSize": 1}),
        (LearnerSpec, {"maxTokensPerMicroBatch": 1}),
        (DataSpec, PROMPTS),
        (DataSpec, {**DATA, "applyChatTemplate": True}),
        (SamplingSpec, {"minTokens": 5, "maxTokens": 5}),
        (SamplingSpec, {"stop": ["a"]}),
        (RLSpec, {"algorithm": "GRPO", "groupSize": 2}),
        (RLSpec, {"algorithm": "ReinforcePlusPlus", "groupSize": 1}),
        (RLSpec, {"algorithm": "GRPO", "groupSize": 1, "advantage": {"estimator": "Return"}}),
        (OutputStorageSpec, {"claimName": "a", "subPath": "b/.c"}),
        (OutputStorageSpec, {"size": "1Gi", "accessMode": "ReadWriteOnce"}),
        (CacheStorageSpec, {"size": 5}),
        (DeviceSpec, {"kind": "CUDA", "resourceName": "amd.com/gpu"}),
        (DeviceSpec, {"kind": "CPU", "cpus": "500m"}),
    ],
)
def test_the_edge_of_a_rule_holds(spec_class, sound):
    assert fields_of(spec_class.from_manifest(sound)) == []


@pytest.mark.parametrize(
    ("spec_class", "broken", "field"),
    [
        (ChatTemplateSpec, {}, ""),
        (ChatTemplateSpec, {"text": "x", "source": "/x"}, ""),
        (
            LearnerSpec,
            {"microBatchSize": 1, "maxTokensPerMicroBatch": 1},
            "maxTokensPerMicroBatch",
        ),
        (DataSpec, {**PROMPTS, "applyChatTemplate": True}, "inputTemplate"),
        (DataSpec, {**DATA, "inputTemplate": "Q: {prompt}"}, "inputTemplate"),
        (SamplingSpec, {"minTokens": 6, "maxTokens": 5}, "minTokens"),
        (SamplingSpec, {"stop": ["a", ""]}, "stop[1]"),
        (RLSpec, {"algorithm": "GRPO", "groupSize": 1}, "groupSize"),
        (
            RLSpec,
            {
                "algorithm": "ReinforcePlusPlus",
                "groupSize": 1,
                "advantage": {"estimator": "GroupMean"},
            },
            "groupSize",
        ),
        (OutputStorageSpec, {}, ""),
        (OutputStorageSpec, {"claimName": "a", "size": 1}, ""),
        (OutputStorageSpec, {"claimName": "a", "storageClassName": "b"}, "storageClassName"),
        (OutputStorageSpec, {"size": 1, "subPath": "b"}, "subPath"),
        (CacheStorageSpec, {}, ""),
        (DeviceSpec, {"kind": "CPU", "resourceName": "nvidia.com/gpu"}, "resourceName"),
        (
            PlacementSpec,
            {"groups": [group("all", "Policy"), group("head", "Rollout")]},
            "groups[1].name",
        ),
    ],
)
def test_a_broken_rule_is_reported_at_its_field(spec_class, broken, field):
    assert fields_of(spec_class.from_manifest(broken)) == [field]


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
        (16, 2, 8, True),
        (16, 3, 8, False),
        (12, 3, 8, False),
        (3, 1, 8, False),
        (2, 1, 1, False),
    ],
)
def test_an_engine_lies_in_a_node_or_fills_nodes(make_training, size, nodes, devices, is_sound):
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


def test_a_chat_template_that_nothing_renders_is_a_problem(make_training):
    policy = {"source": "m", "chatTemplate": {"text": "x"}}
    unused = make_training(model={"policy": policy})
    assert fields_of(unused) == ["model.policy.chatTemplate"]
    used = make_training(model={"policy": policy}, data={**DATA, "applyChatTemplate": True})
    assert fields_of(used) == []


def test_overrides_are_for_groups_that_there_are(make_training):
    training = make_training().to_manifest()
    job = RLHFJobSpec.from_manifest(
        {"training": training, "cluster": {"groups": [{"name": "all"}, {"name": "head"}]}}
    )
    assert fields_of(job) == []
    job = RLHFJobSpec.from_manifest(
        {"training": training, "cluster": {"groups": [{"name": "learn"}]}}
    )
    (found,) = violations(job)
    assert path_text(found.path) == "cluster.groups[0].name"
    assert found.fix == "use one of all, head"


def test_the_divisor_that_is_offered_divides(make_training):
    training = make_training(
        rl={"algorithm": "GRPO", "rolloutBatchSize": 9, "groupSize": 5},
        learner={"trainBatchSize": 10},
    )
    (found,) = violations(training)
    assert found.fix == "take a divisor, as 9"


def test_every_rule_reads_fields_that_there_are():
    for rule in RULES:
        for field in rule.reads:
            *parents, last = field.split(".")
            holder = spec_class_at(rule.on, tuple(parents))
            assert holder is not None and last in field_names(holder), (rule.claim, field)


def test_every_rule_says_a_claim_and_who_judges_it():
    for rule in RULES:
        assert rule.claim
        assert rule.check or rule.cel
        assert rule.check is None or rule.reads


def test_cel_texts_name_only_fields_that_there_are():
    for rule in RULES:
        if rule.on in (RLHFJob, RLHFJobSpec):
            continue
        for text in re.findall(r"self\.([A-Za-z.]+)", rule.cel):
            holder: type[BaseModel] | None = rule.on
            for name in text.split("."):
                if holder is None or name in ("contains", "all", "exists", "filter"):
                    break
                assert name in field_names(holder), (rule.claim, text)
                holder = spec_class_at(holder, (name,))


def test_rules_are_found_by_class():
    assert all(rule.on is TrainingSpec for rule in rules_of(TrainingSpec))
    assert len(rules_of(TrainingSpec)) >= 8
    assert rules_of(int) == []
