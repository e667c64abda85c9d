"""Runtime and job become one setting: field by field, where `allowedOverrides` lets the job."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from openrlhf_core.spec.kinds.job import ClusterGroupSpec, RLHFJobSpec
from openrlhf_core.spec.kinds.kubernetes import PodOverrides
from openrlhf_core.spec.kinds.runtime import DeviceSpec, Override, RLHFRuntimeSpec, WorkerSpec
from openrlhf_core.spec.kinds.scheduling import SchedulingSpec
from openrlhf_core.spec.kinds.storage import CacheStorageSpec, OutputStorageSpec
from rlhf_operator.conditions import Reason
from rlhf_operator.desired.ray_types import Object
from rlhf_operator.findings import Finding
from rlhf_operator.names import HEAD_GROUP

Fragments = tuple[Object, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class PodSetting:
    """What the pods of one group (or the head) have of their own."""

    resources: Object | None
    """In place of what the runtime computes, when the job says so."""
    overrides: tuple[PodOverrides, ...]
    """The runtime's, then the job's: later entries win."""


@dataclass(frozen=True)
class MergedRuntime:
    """Everything that pods, volumes and queues of a job are made from."""

    image: str
    image_pull_policy: str
    image_pull_secrets: tuple[str, ...]
    ray_version: str
    device: DeviceSpec
    head_resources: Object
    worker: WorkerSpec
    env: Fragments
    env_from: Fragments
    service_account_name: str | None
    security_context: Object | None
    output: OutputStorageSpec | None
    cache: CacheStorageSpec | None
    scheduling: SchedulingSpec
    pods: dict[str, PodSetting]
    """By name of the group; `head` is always there, groups without overrides are not."""


def merge(job: RLHFJobSpec, runtime: RLHFRuntimeSpec) -> MergedRuntime:
    """The job over the runtime. Assumes that `override_findings` found nothing."""
    cluster = job.cluster
    secrets = (*runtime.image_pull_secrets, *cluster.image_pull_secrets)
    return MergedRuntime(
        image=cluster.image or runtime.image,
        image_pull_policy=runtime.image_pull_policy,
        image_pull_secrets=tuple(dict.fromkeys(secret.name for secret in secrets)),
        ray_version=runtime.ray_version,
        device=runtime.device,
        head_resources=dict(runtime.head.resources or {}),
        worker=runtime.worker,
        env=by_name((*runtime.env, *cluster.env)),
        env_from=(*runtime.env_from, *cluster.env_from),
        service_account_name=cluster.service_account_name or runtime.service_account_name,
        security_context=runtime.security_context,
        output=job.storage.output or runtime.storage.output,
        cache=job.storage.cache or runtime.storage.cache,
        scheduling=_merged_scheduling(job.scheduling, runtime.scheduling),
        pods=_pod_settings(cluster.groups, runtime),
    )


def by_name(fragments: Iterable[Object]) -> Fragments:
    """The fragments with one entry a name; the last one wins, in the first one's place."""
    merged: dict[str, Object] = {}
    for fragment in fragments:
        merged[str(fragment.get("name"))] = fragment
    return tuple(merged.values())


def override_findings(job: RLHFJobSpec, runtime: RLHFRuntimeSpec) -> tuple[Finding, ...]:
    """One finding for every field of the job that its runtime does not let it set."""
    used: list[tuple[str, Override]] = []
    cluster = job.cluster
    used += [("cluster.image", "Image")] * bool(cluster.image)
    used += [("cluster.imagePullSecrets", "Image")] * bool(cluster.image_pull_secrets)
    used += [("cluster.serviceAccountName", "ServiceAccount")] * bool(cluster.service_account_name)
    used += [("cluster.env", "Env")] * bool(cluster.env)
    used += [("cluster.envFrom", "Env")] * bool(cluster.env_from)
    used += [("scheduling", "Scheduling")] * (job.scheduling != SchedulingSpec())
    used += [("storage.output", "Storage")] * (job.storage.output is not None)
    used += [("storage.cache", "Storage")] * (job.storage.cache is not None)
    for group in cluster.groups:
        used += _group_overrides(group)
    return tuple(
        Finding(
            Reason.OVERRIDE_NOT_ALLOWED,
            f"spec.{path}: the runtime's allowedOverrides does not name {override}; leave the "
            "field out, or use a runtime that allows it",
        )
        for path, override in used
        if override not in runtime.allowed_overrides
    )


def _group_overrides(group: ClusterGroupSpec) -> list[tuple[str, Override]]:
    """Which overrides an entry of `cluster.groups` uses."""
    path = f"cluster.groups[{group.name}]"
    used: list[tuple[str, Override]] = []
    if group.resources is not None:
        used.append((f"{path}.resources", "Resources"))
    if group.pod_overrides.env:
        used.append((f"{path}.podOverrides.env", "Env"))
    if group.pod_overrides.model_copy(update={"env": ()}) != PodOverrides():
        used.append((f"{path}.podOverrides", "PodOverrides"))
    return used


def _merged_scheduling(job: SchedulingSpec, runtime: SchedulingSpec) -> SchedulingSpec:
    """Field by field; what the job leaves out is the runtime's."""
    fields = SchedulingSpec.model_fields
    chosen = {name: _first(getattr(job, name), getattr(runtime, name)) for name in fields}
    return SchedulingSpec(**chosen)


def _first(mine: T | None, theirs: T | None) -> T | None:
    return theirs if mine is None else mine


def _pod_settings(
    groups: tuple[ClusterGroupSpec, ...], runtime: RLHFRuntimeSpec
) -> dict[str, PodSetting]:
    settings = {HEAD_GROUP: PodSetting(None, (runtime.head.pod_overrides,))}
    for group in groups:
        is_head = group.name == HEAD_GROUP
        base = (runtime.head if is_head else runtime.worker).pod_overrides
        settings[group.name] = PodSetting(group.resources, (base, group.pod_overrides))
    return settings
