"""The part of `ray.io/v1` RayCluster, and of pods, that we write. Nothing else can be written.

A typed subset of KubeRay's types, since there is no client of it for Python; the contract test
holds the objects against KubeRay's own CRD.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Object = dict[str, Any]


class KubeModel(BaseModel):
    """A piece of an object that is sent to the API server."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True
    )

    def to_object(self) -> Object:
        """Plain JSON data in camelCase, without what is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Metadata(KubeModel):
    """Name, place, labels and owner of an object."""

    name: str | None = None
    namespace: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: tuple[Object, ...] | None = None


class ContainerPort(KubeModel):
    """A port that a container listens on."""

    name: str
    container_port: int


class Container(KubeModel):
    """The Ray container: the first of its pod, as KubeRay asks."""

    name: str
    image: str
    image_pull_policy: str
    env: tuple[Object, ...] = ()
    env_from: tuple[Object, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    resources: Object
    volume_mounts: tuple[Object, ...] = ()
    lifecycle: Object
    security_context: Object


class PodSpec(KubeModel):
    """A pod of the cluster."""

    containers: tuple[Container, ...]
    volumes: tuple[Object, ...]
    service_account_name: str | None = None
    automount_service_account_token: bool = False
    enable_service_links: bool = False
    termination_grace_period_seconds: int
    image_pull_secrets: tuple[Object, ...] = ()
    security_context: Object
    priority_class_name: str | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Object, ...] = ()
    affinity: Object | None = None


class PodTemplate(KubeModel):
    """What KubeRay makes pods from."""

    metadata: Metadata
    spec: PodSpec


class HeadGroup(KubeModel):
    """The head: driver and dashboard, no device."""

    ray_start_params: dict[str, str]
    template: PodTemplate


class WorkerGroup(KubeModel):
    """Equal pods, of a fixed number."""

    group_name: str
    replicas: int
    min_replicas: int
    max_replicas: int
    ray_start_params: dict[str, str]
    template: PodTemplate


class AuthOptions(KubeModel):
    """KubeRay makes a token for the cluster and hands it to every container."""

    mode: str = "token"


class RayClusterSpec(KubeModel):
    """One cluster; `suspend` is not ours to write (Kueue owns it)."""

    ray_version: str
    auth_options: AuthOptions = AuthOptions()
    head_group_spec: HeadGroup
    worker_group_specs: tuple[WorkerGroup, ...]


class RayCluster(KubeModel):
    """The child object of an attempt."""

    api_version: str = "ray.io/v1"
    kind: str = "RayCluster"
    metadata: Metadata
    spec: RayClusterSpec
