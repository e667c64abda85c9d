"""Pod templates of the head and of worker groups: restricted, without credentials, with grace."""

from openrlhf_core.spec.kinds.kubernetes import PodOverrides
from openrlhf_core.spec.planning.plan import PlannedGroup
from rlhf_operator import names
from rlhf_operator.desired import stop_hook
from rlhf_operator.desired.blueprint import Blueprint
from rlhf_operator.desired.merged import Fragments, PodSetting, by_name
from rlhf_operator.desired.ray_types import (
    Container,
    ContainerPort,
    Metadata,
    Object,
    PodSpec,
    PodTemplate,
)
from rlhf_operator.desired.resources import memory_limit, worker_resources
from rlhf_operator.desired.scheduling import pod_annotations
from rlhf_operator.desired.storage import Mounted, pod_volumes

RESTRICTED_POD: Object = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "fsGroup": 1000,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED_CONTAINER: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
HEAD_PORTS = (
    ContainerPort(name="gcs-server", container_port=names.GCS_PORT),
    ContainerPort(name="dashboard", container_port=names.DASHBOARD_PORT),
    ContainerPort(name="client", container_port=names.CLIENT_PORT),
    ContainerPort(name="metrics", container_port=names.RAY_METRICS_PORT),
    ContainerPort(name="progress", container_port=names.PROGRESS_PORT),
    ContainerPort(name="rlhf-metrics", container_port=names.METRICS_PORT),
)
WORKER_PORTS = (ContainerPort(name="metrics", container_port=names.RAY_METRICS_PORT),)


def head_template(blueprint: Blueprint) -> PodTemplate:
    """The head: Ray's control plane and the driver."""
    setting = blueprint.runtime.pods[names.HEAD_GROUP]
    resources = setting.resources or blueprint.runtime.head_resources
    return _template(blueprint, names.HEAD_GROUP, setting, resources, {})


def worker_template(blueprint: Blueprint, group: PlannedGroup) -> PodTemplate:
    """A pod of a worker group: one node of its plan, with all its devices."""
    runtime = blueprint.runtime
    setting = runtime.pods.get(group.name) or PodSetting(None, (runtime.worker.pod_overrides,))
    resources = worker_resources(runtime.worker, runtime.device, group, setting.resources)
    annotations = pod_annotations(runtime.scheduling.topology)
    return _template(blueprint, group.name, setting, resources, annotations)


def _template(
    blueprint: Blueprint,
    group: str,
    setting: PodSetting,
    resources: Object,
    annotations: dict[str, str],
) -> PodTemplate:
    runtime, overrides = blueprint.runtime, setting.overrides
    mounted = _mounted(blueprint, group, resources)
    labels = {names.LABEL_GROUP: group}
    return PodTemplate(
        metadata=Metadata(
            labels=_joined("labels", overrides) | labels | blueprint.job.labels,
            annotations=annotations | _joined("annotations", overrides),
        ),
        spec=PodSpec(
            containers=(_container(blueprint, group, overrides, resources, mounted),),
            volumes=_volumes(mounted, overrides),
            service_account_name=runtime.service_account_name,
            termination_grace_period_seconds=stop_hook.termination_seconds(blueprint.grace_seconds),
            image_pull_secrets=tuple({"name": name} for name in runtime.image_pull_secrets),
            security_context=runtime.security_context or RESTRICTED_POD,
            priority_class_name=runtime.scheduling.priority_class_name,
            node_selector=_joined("node_selector", overrides),
            tolerations=tuple(entry for part in overrides for entry in part.tolerations),
            affinity=_affinity(overrides, blueprint),
        ),
    )


def _container(
    blueprint: Blueprint,
    group: str,
    overrides: tuple[PodOverrides, ...],
    resources: Object,
    mounted: tuple[Mounted, ...],
) -> Container:
    runtime, is_head = blueprint.runtime, group == names.HEAD_GROUP
    mounts = [mount for _, mount in mounted]
    mounts += [dict(mount) for part in overrides for mount in part.volume_mounts]
    return Container(
        name="ray",
        image=runtime.image,
        image_pull_policy=runtime.image_pull_policy,
        env=_environment(blueprint, overrides),
        env_from=runtime.env_from,
        ports=HEAD_PORTS if is_head else WORKER_PORTS,
        resources=resources,
        volume_mounts=tuple({mount["mountPath"]: mount for mount in mounts}.values()),
        lifecycle=stop_hook.lifecycle(blueprint.grace_seconds, is_head),
        security_context=RESTRICTED_CONTAINER,
    )


def _environment(blueprint: Blueprint, overrides: tuple[PodOverrides, ...]) -> Fragments:
    """Ours, the runtime's, the job's, the group's: the last entry of a name wins.

    Ray's own token and mode are KubeRay's to set, so they may not be set here.
    """
    ours = (
        {"name": "HF_HOME", "value": names.CACHE_DIRECTORY},
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        {"name": "RLHF_JOB_UID", "value": blueprint.job.uid},
    )
    theirs = (*blueprint.runtime.env, *(entry for part in overrides for entry in part.env))
    kept = [entry for entry in theirs if not str(entry.get("name")).startswith("RAY_AUTH_")]
    return by_name((*ours, *kept))


def _mounted(blueprint: Blueprint, group: str, resources: Object) -> tuple[Mounted, ...]:
    """/dev/shm is bounded by the runtime's `sharedMemory`, else by half the memory limit."""
    runtime, limit = blueprint.runtime, memory_limit(resources)
    bound = None if group == names.HEAD_GROUP else runtime.worker.shared_memory
    half = None if limit is None else limit // 2
    return pod_volumes(
        blueprint.job.name,
        blueprint.output,
        runtime.cache,
        half if bound is None else bound,
        blueprint.sources,
    )


def _volumes(
    mounted: tuple[Mounted, ...], overrides: tuple[PodOverrides, ...]
) -> tuple[Object, ...]:
    added = (entry for part in overrides for entry in part.volumes)
    return by_name((*(volume for volume, _ in mounted), *added))


def _joined(field: str, overrides: tuple[PodOverrides, ...]) -> dict[str, str]:
    """A map of the overrides, joined; the last entry of a key wins."""
    joined: dict[str, str] = {}
    for part in overrides:
        joined |= getattr(part, field)
    return joined


def _affinity(overrides: tuple[PodOverrides, ...], blueprint: Blueprint) -> Object | None:
    """The last affinity given, and beside it all pods of the job on one node where they must."""
    chosen: Object = {}
    for part in overrides:
        chosen = dict(part.affinity) if part.affinity is not None else chosen
    if blueprint.is_bound_to_one_node:
        term = {
            "labelSelector": {"matchLabels": {names.LABEL_JOB_UID: blueprint.job.uid}},
            "topologyKey": "kubernetes.io/hostname",
        }
        pods = dict(chosen.get("podAffinity") or {})
        key = "requiredDuringSchedulingIgnoredDuringExecution"
        pods[key] = [*pods.get(key, []), term]
        chosen["podAffinity"] = pods
    return chosen or None
