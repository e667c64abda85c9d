"""The rules within one small class: what breaks each, where, and that its edge holds."""

import pytest

from openrlhf_core.spec.kinds.data import DataSpec
from openrlhf_core.spec.kinds.job import RLHFJobSpec
from openrlhf_core.spec.kinds.learner import LearnerSpec
from openrlhf_core.spec.kinds.model import ChatTemplateSpec
from openrlhf_core.spec.kinds.placement import PlacementSpec
from openrlhf_core.spec.kinds.rl import RLSpec
from openrlhf_core.spec.kinds.rollout import SamplingSpec
from openrlhf_core.spec.kinds.runtime import DeviceSpec
from openrlhf_core.spec.kinds.storage import CacheStorageSpec, OutputStorageSpec
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
