"""What stops a job before a device is taken."""

from typing import Any

import pytest


def test_a_valid_job_has_no_findings(findings: Any) -> None:
    assert findings() == ()


def test_a_bare_path_is_answered_with_its_field_and_what_to_do(findings: Any) -> None:
    (found,) = findings(job={"training": {"model": {"policy": {"source": "./models/mine"}}}})
    assert found.startswith("SourceNotReachable: spec.training.model.policy.source: ")
    assert "rlhf submit" in found


def test_overrides_are_refused_one_by_one_with_their_path(findings: Any) -> None:
    job = {
        "cluster": {
            "image": "mine:1",
            "serviceAccountName": "admin",
            "groups": [{"name": "all", "podOverrides": {"nodeSelector": {"a": "b"}}}],
        }
    }
    found = findings(job=job)
    assert [text.split(":")[1].strip() for text in found] == [
        "spec.cluster.image",
        "spec.cluster.serviceAccountName",
        "spec.cluster.groups[all].podOverrides",
    ]
    allowed = {"allowedOverrides": ["Image", "ServiceAccount", "PodOverrides"]}
    assert findings(job=job, runtime=allowed) == ()


def test_storage_may_be_forbidden_by_the_runtime(findings: Any) -> None:
    job = {"storage": {"output": {"claimName": "mine"}}}
    (found,) = findings(job=job, runtime={"allowedOverrides": []})
    assert found.startswith("OverrideNotAllowed: spec.storage.output")


def test_a_job_without_output_is_told_where_to_name_it(findings: Any) -> None:
    (found,) = findings(runtime={"storage": {}})
    assert "spec.storage.output" in found


def test_a_group_larger_than_the_largest_node_does_not_fit(findings: Any) -> None:
    groups = [{"name": "all", "roles": ["Policy", "Reference", "Rollout"], "devicesPerNode": 5}]
    (found,) = findings(job={"training": {"placement": {"groups": groups}}})
    assert found.startswith("PlanDoesNotFit: spec.training.placement.groups[all].devicesPerNode")


def test_a_plan_for_two_nodes_is_refused_when_the_claim_is_for_one(findings: Any) -> None:
    groups = [
        {"name": "all", "roles": ["Policy", "Rollout"], "nodes": 2, "devicesPerNode": 4},
    ]
    job = {"training": {"placement": {"groups": groups}}}
    assert findings(job=job, is_shared=True) == ()
    (found,) = findings(job=job, is_shared=False)
    assert "ReadWriteMany" in found


@pytest.mark.parametrize("memory", ["16GB", "16gi", -1, True, ["16Gi"]])
def test_a_resource_that_is_no_quantity_is_a_finding(findings: Any, memory: Any) -> None:
    resources = {"limits": {"memory": memory}}
    groups = [{"name": "all", "resources": resources}]
    (found,) = findings(job={"cluster": {"groups": groups}})
    assert found.startswith("InvalidSpec: spec.cluster.groups[all].resources.limits.memory")
    (found,) = findings(runtime={"worker": {"resourcesPerDevice": resources}})
    path = "the runtime's spec.worker.resourcesPerDevice.limits.memory"
    assert found.startswith(f"InvalidRuntime: {path}")


@pytest.mark.parametrize("memory", ["129e6", "1.5E9", ".5Gi", 2**30])
def test_every_way_to_write_a_quantity_is_taken(findings: Any, memory: Any) -> None:
    resources = {"limits": {"memory": memory}}
    assert findings(job={"cluster": {"groups": [{"name": "all", "resources": resources}]}}) == ()
    assert findings(runtime={"worker": {"resourcesPerDevice": resources}}) == ()
