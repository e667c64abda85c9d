"""`RLHFRuntime` and `ClusterRLHFRuntime`: what a platform administrator sets for all jobs."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import SpecModel
from openrlhf_core.spec.kinds.kubernetes import (
    DNSName,
    Fragment,
    FragmentList,
    LabelKey,
    PodOverrides,
    PullSecrets,
    RuntimeMetadata,
)
from openrlhf_core.spec.kinds.quantity import Quantity, quantity_rule
from openrlhf_core.spec.kinds.rule import Rule, Violation, at
from openrlhf_core.spec.kinds.scheduling import SchedulingSpec
from openrlhf_core.spec.kinds.storage import StorageSpec

Override = Literal[
    "Resources", "Env", "Scheduling", "Storage", "Image", "ServiceAccount", "PodOverrides"
]
DEFAULT_OVERRIDES: tuple[Override, ...] = ("Resources", "Env", "Scheduling", "Storage")


class DeviceSpec(SpecModel):
    """What a placement device is, and how many the largest node has."""

    kind: Literal["CUDA", "CPU"] = Field(description="A GPU, or some CPU cores.")
    resource_name: LabelKey | None = Field(
        None,
        description="Kubernetes resource of a CUDA device. Default: nvidia.com/gpu. None on CPU.",
    )
    memory: Quantity | None = Field(None, description="Memory of a device; `rlhf plan` uses it.")
    per_node: Annotated[int, Field(ge=1, le=64)] = Field(
        8, description="Devices of the largest node."
    )
    cpus: Quantity = Field(1, description="CPU cores that go with each device.")


class HeadSpec(SpecModel):
    """The pod of the Ray head and the driver; it holds no device."""

    resources: Fragment | None = Field(None, description="Resources of the Ray container.")
    pod_overrides: PodOverrides = Field(PodOverrides(), description="What is added to the pod.")


class WorkerSpec(SpecModel):
    """The pods that hold devices."""

    resources_per_device: Fragment | None = Field(
        None, description="Resources (requests, limits) for each device, times devicesPerNode."
    )
    resources_per_node: Fragment | None = Field(
        None, description="Resources (requests, limits) of each pod on top of its devices'."
    )
    shared_memory: Quantity | None = Field(
        None,
        description="Size limit of the memory-backed /dev/shm. Default: half the memory limit.",
    )
    pod_overrides: PodOverrides = Field(PodOverrides(), description="What is added to the pods.")


class RLHFRuntimeSpec(SpecModel):
    """Image, devices, pods, storage and what jobs may override."""

    image: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="Trainer image of every pod."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When the image is pulled."
    )
    image_pull_secrets: PullSecrets = Field((), description="Secrets to pull the image with.")
    ray_version: Annotated[str, Field(max_length=32, pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] = Field(
        description="Version of Ray in the image."
    )
    device: DeviceSpec = Field(description="What a placement device is.")
    head: HeadSpec = Field(HeadSpec(), description="The pod of the Ray head and the driver.")
    worker: WorkerSpec = Field(WorkerSpec(), description="The pods that hold devices.")
    storage: StorageSpec = Field(StorageSpec(), description="Volumes of jobs that set none.")
    scheduling: SchedulingSpec = Field(SchedulingSpec(), description="Queue and priority.")
    env: FragmentList = Field((), description="Environment variables of every Ray container.")
    env_from: FragmentList = Field(
        (), description="Secrets and ConfigMaps whose keys become environment variables."
    )
    service_account_name: DNSName | None = Field(None, description="ServiceAccount of the pods.")
    security_context: Fragment | None = Field(None, description="Security context of the pods.")
    allowed_overrides: Annotated[tuple[Override, ...], Field(max_length=7)] = Field(
        DEFAULT_OVERRIDES,
        description="What a job may override.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class RLHFRuntime(SpecModel):
    """A runtime of one namespace."""

    api_version: Literal["openrlhf.io/v1alpha1"] = Field(description="Version of the kind.")
    kind: Literal["RLHFRuntime"] = Field(description="The kind.")
    metadata: RuntimeMetadata = Field(description="Name, labels, annotations.")
    spec: RLHFRuntimeSpec = Field(description="What the administrator set.")


class ClusterRLHFRuntime(SpecModel):
    """A runtime of the whole cluster."""

    api_version: Literal["openrlhf.io/v1alpha1"] = Field(description="Version of the kind.")
    kind: Literal["ClusterRLHFRuntime"] = Field(description="The kind.")
    metadata: RuntimeMetadata = Field(description="Name, labels, annotations.")
    spec: RLHFRuntimeSpec = Field(description="What the administrator set.")


def _device_resource(device: DeviceSpec) -> Iterator[Violation]:
    if device.kind == "CPU" and device.resource_name is not None:
        yield Violation(
            at("resourceName"), "is for CUDA devices; a CPU device is cpus cores", "remove it"
        )


RULES: tuple[Rule, ...] = (
    quantity_rule(HeadSpec, "resources"),
    quantity_rule(WorkerSpec, "resourcesPerDevice", "resourcesPerNode"),
    quantity_rule(RLHFRuntimeSpec, "env"),
    Rule(
        on=DeviceSpec,
        claim="resourceName is for CUDA devices",
        reads=("kind", "resourceName"),
        check=_device_resource,
        cel="self.kind == 'CUDA' || !has(self.resourceName)",
    ),
)
