"""A blueprint becomes an attempt's RayCluster: a head, and one worker group a placement group."""

import json

from openrlhf_core.spec.planning.plan import PlannedGroup
from rlhf_operator import names
from rlhf_operator.desired.blueprint import Blueprint
from rlhf_operator.desired.pods import head_template, worker_template
from rlhf_operator.desired.ray_types import (
    HeadGroup,
    Metadata,
    Object,
    RayCluster,
    RayClusterSpec,
    WorkerGroup,
)
from rlhf_operator.desired.scheduling import cluster_labels, passed_through

HEAD_START = {"num-cpus": "0", "num-gpus": "0", "dashboard-host": "0.0.0.0"}
"""No task or actor lands on the head by itself; the driver asks for nothing."""


def ray_cluster(blueprint: Blueprint, name: str) -> RayCluster:
    """The cluster, to be created once and never written again: Kueue owns `suspend` and changes
    the pod templates."""
    runtime, job = blueprint.runtime, blueprint.job
    return RayCluster(
        metadata=Metadata(
            name=name,
            namespace=job.namespace,
            labels=cluster_labels(runtime.scheduling, blueprint.job_labels) | job.labels,
            annotations=passed_through(blueprint.job_annotations)
            | {names.ANNOTATION_NO_HEAD_RESTART: "true"},
            owner_references=(job.owner_reference(),),
        ),
        spec=RayClusterSpec(
            ray_version=runtime.ray_version,
            head_group_spec=HeadGroup(
                ray_start_params=dict(HEAD_START), template=head_template(blueprint)
            ),
            worker_group_specs=tuple(_worker_group(blueprint, g) for g in blueprint.plan.groups),
        ),
    )


def pods_to_try(blueprint: Blueprint) -> tuple[Object, ...]:
    """One pod a template, for a dry run: the API server judges fragments that we pass through."""
    templates = [("head", head_template(blueprint))]
    templates += [
        (group.name, worker_template(blueprint, group)) for group in blueprint.plan.groups
    ]
    return tuple(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template.metadata.to_object(),
                "name": f"{blueprint.job.name}-{name}-dry-run",
                "namespace": blueprint.job.namespace,
            },
            "spec": template.spec.to_object(),
        }
        for name, template in templates
    )


def workers_to_zero(cluster: Object) -> list[Object]:
    """A JSON patch that takes every worker away and keeps the head, for cleanup DeleteWorkers."""
    operations: list[Object] = []
    for index, group in enumerate(cluster["spec"].get("workerGroupSpecs", [])):
        path = f"/spec/workerGroupSpecs/{index}"
        operations.append({"op": "test", "path": f"{path}/groupName", "value": group["groupName"]})
        for field in ("replicas", "minReplicas"):
            operations.append({"op": "add", "path": f"{path}/{field}", "value": 0})
    return operations


def _worker_group(blueprint: Blueprint, group: PlannedGroup) -> WorkerGroup:
    resource = json.dumps({names.group_resource(group.name): group.devices_per_node})
    return WorkerGroup(
        group_name=group.name,
        replicas=group.nodes,
        min_replicas=group.nodes,
        max_replicas=group.nodes,
        ray_start_params={"resources": json.dumps(resource)},
        template=worker_template(blueprint, group),
    )
