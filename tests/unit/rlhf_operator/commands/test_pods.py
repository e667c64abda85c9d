"""Pods as the commands see them, made of what the API server gives."""

from typing import Any

import pytest

from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.kubernetes import PodOverrides
from openrlhf_core.spec.kinds.runtime import DeviceSpec, HeadSpec, RLHFRuntimeSpec
from rlhf_operator.commands.claim_reader import reader_pod
from rlhf_operator.commands.job_view import JobView
from rlhf_operator.commands.logs import tail_command
from rlhf_operator.commands.pods import pod_of


def make_pod(node_type: str = "worker", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "first-abcde-1-x",
            "labels": {"ray.io/node-type": node_type, "ray.io/group": "all"},
        },
        "spec": {"containers": [{"name": "ray"}, {"name": "sidecar"}]},
        "status": {"phase": "Pending", **status},
    }


def make_runtime() -> RLHFRuntimeSpec:
    volumes: tuple[Any, ...] = ({"name": "code", "hostPath": {"path": "/code"}},)
    mounts: tuple[Any, ...] = ({"name": "code", "mountPath": "/code"},)
    return RLHFRuntimeSpec(
        image="trainer:1",
        ray_version="2.60.0",
        device=DeviceSpec(kind="CPU"),
        env=({"name": "PATH", "value": "/code/bin"},),
        head=HeadSpec(pod_overrides=PodOverrides(volumes=volumes, volume_mounts=mounts)),
    )


def test_the_head_is_called_head_whatever_kuberay_calls_it() -> None:
    assert pod_of(make_pod("head")).group == "head"
    assert pod_of(make_pod("worker")).group == "all"


def test_the_ray_container_is_the_first() -> None:
    assert pod_of(make_pod()).container == "ray"


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        ({}, ""),
        (
            {
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such"}}}
                ]
            },
            "ImagePullBackOff: no such",
        ),
        (
            {
                "initContainerStatuses": [{"state": {"terminated": {"reason": "Error"}}}],
                "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}],
            },
            "Error",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes have nvidia.com/gpu",
                    }
                ]
            },
            "Unschedulable: 0/3 nodes have nvidia.com/gpu",
        ),
        ({"containerStatuses": [{"state": {"terminated": {"reason": "Completed"}}}]}, ""),
    ],
)
def test_what_keeps_a_pod_from_running_is_named(status: dict[str, Any], trouble: str) -> None:
    assert pod_of(make_pod(**status)).trouble == trouble


def test_a_pod_is_ready_when_all_its_containers_are() -> None:
    assert pod_of(make_pod(containerStatuses=[{"ready": True, "state": {}}])).is_ready
    assert not pod_of(make_pod(containerStatuses=[{"ready": False, "state": {}}])).is_ready
    assert not pod_of(make_pod()).is_ready


def test_the_reading_pod_has_the_jobs_image_volumes_and_a_read_only_claim(
    running: dict[str, Any],
) -> None:
    pod = reader_pod(JobView.of(running), make_runtime(), "metrics.jsonl")
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "trainer:1"
    assert container["command"] == ["cat", "/var/rlhf/output/first-0123abcd/metrics.jsonl"]
    assert {mount["mountPath"]: mount.get("readOnly") for mount in container["volumeMounts"]} == {
        "/var/rlhf/output": True,
        "/code": None,
    }
    claim = pod["spec"]["volumes"][0]["persistentVolumeClaim"]
    assert claim == {"claimName": "first-output", "readOnly": True}
    assert pod["spec"]["activeDeadlineSeconds"] == 120


def test_a_job_with_an_image_of_its_own_is_read_with_that(running: dict[str, Any]) -> None:
    running["spec"]["cluster"] = {"image": "mine:2"}
    pod = reader_pod(JobView.of(running), make_runtime(), "metrics.jsonl")
    assert pod["spec"]["containers"][0]["image"] == "mine:2"


def test_a_job_without_output_cannot_be_read(running: dict[str, Any]) -> None:
    del running["status"]["output"]
    with pytest.raises(ConfigurationError, match="first has no output yet"):
        reader_pod(JobView.of(running), make_runtime(), "metrics.jsonl")


def test_logs_are_followed_by_name_so_that_a_new_file_is_seen() -> None:
    assert tail_command(["/a", "/b*"], tail=5, follow=True)[2].startswith("tail -q -n 5 -F /a /b*")
    assert " -F" not in tail_command(["/a"], tail=5, follow=False)[2]
