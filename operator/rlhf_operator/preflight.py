"""What must hold before a device is taken: rules, runtime, claims, ConfigMaps, KubeRay, pods.

Asks the API server; what it finds becomes Validated=False, never an exception.
"""

from collections.abc import Iterable
from typing import Any

from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.runtime import RLHFRuntimeSpec
from openrlhf_core.spec.reading.validate import judge
from rlhf_operator.clients.api_errors import Denied, Invalid, NotFound
from rlhf_operator.clients.kubernetes import (
    CLAIMS,
    CLUSTER_RUNTIMES,
    CONFIG_MAPS,
    PODS,
    RUNTIMES,
    Object,
    Resource,
)
from rlhf_operator.conditions import Reason
from rlhf_operator.context import Context
from rlhf_operator.desired.blueprint import Blueprint
from rlhf_operator.desired.ray_cluster import pods_to_try
from rlhf_operator.findings import Finding

MAX_RULE_FINDINGS = 10


def rule_findings(raw: Object) -> tuple[RLHFJob | None, tuple[Finding, ...]]:
    """The job that an object says, and every rule it breaks; None when it can not be read."""
    job, wrong = judge(RLHFJob, {key: value for key, value in raw.items() if key != "status"})
    findings = tuple(
        Finding(
            Reason.INVALID_SPEC,
            f"{'.'.join(str(part) for part in found.path)}: {found.message}; {found.fix}",
        )
        for found in wrong[:MAX_RULE_FINDINGS]
    )
    return job, findings


async def find_runtime(
    context: Context, job: RLHFJob
) -> tuple[RLHFRuntimeSpec | None, tuple[Finding, ...]]:
    """The runtime that a job names, or the operator's default, or why there is none."""
    reference, default = job.spec.runtime_ref, context.settings.default_runtime
    name = reference.name if reference is not None else default
    if name is None:
        message = "spec.runtimeRef is not set and the operator has no default runtime; name one"
        return None, (Finding(Reason.RUNTIME_NOT_FOUND, message),)
    is_own = reference is not None and reference.kind == "RLHFRuntime"
    kind = "RLHFRuntime" if is_own else "ClusterRLHFRuntime"
    resource, namespace = (RUNTIMES, job.metadata.namespace) if is_own else (CLUSTER_RUNTIMES, None)
    try:
        raw = await context.kubernetes.get(resource, namespace, name)
    except NotFound:
        message = f"spec.runtimeRef: there is no {kind} {name!r}; make it or name another"
        return None, (Finding(Reason.RUNTIME_NOT_FOUND, message),)
    runtime, wrong = judge(RLHFRuntimeSpec, raw.get("spec", {}))
    if runtime is None or wrong:
        first = wrong[0]
        path = ".".join(str(part) for part in first.path)
        message = f"{kind} {name!r}: spec.{path}: {first.message}; {first.fix}"
        return None, (Finding(Reason.INVALID_RUNTIME, message),)
    return runtime, ()


async def missing_findings(context: Context, blueprint: Blueprint) -> tuple[Finding, ...]:
    """What a blueprint names and the cluster does not have, then what it would refuse."""
    findings = [*await _kuberay(context), *await _claims(context, blueprint)]
    findings += await _config_maps(context, blueprint)
    return tuple(findings) if findings else await _pods(context, blueprint)


async def _kuberay(context: Context) -> list[Finding]:
    if await context.kubernetes.serves("ray.io/v1"):
        return []
    message = "this cluster has no ray.io/v1 RayCluster; install KubeRay 1.6 or later"
    return [Finding(Reason.KUBERAY_NOT_INSTALLED, message)]


async def _claims(context: Context, blueprint: Blueprint) -> list[Finding]:
    named: list[tuple[str, str]] = []
    if blueprint.output.claim_name:
        named.append(("spec.storage.output.claimName", blueprint.output.claim_name))
    if blueprint.runtime.cache is not None and blueprint.runtime.cache.claim_name:
        named.append(("spec.storage.cache.claimName", blueprint.runtime.cache.claim_name))
    named += [
        (f"pvc://{source.name}", source.name)
        for source in blueprint.sources
        if source.scheme == "pvc"
    ]
    return [
        Finding(
            Reason.CLAIM_NOT_FOUND,
            f"{path}: namespace {blueprint.job.namespace} has no PersistentVolumeClaim {claim!r}; "
            "make it or name another",
        )
        for path, claim in dict.fromkeys(named)
        if await read(context, CLAIMS, blueprint.job.namespace, claim) is None
    ]


async def _config_maps(context: Context, blueprint: Blueprint) -> list[Finding]:
    findings = []
    for source in blueprint.sources:
        if source.scheme != "configmap":
            continue
        uri, namespace = f"configmap://{source.name}/{source.path}", blueprint.job.namespace
        raw = await read(context, CONFIG_MAPS, namespace, source.name)
        keys = _keys(raw)
        if raw is None:
            what = f"namespace {namespace} has no ConfigMap {source.name!r}; make it"
        elif source.path not in keys:
            what = f"the ConfigMap has no key {source.path!r} but {', '.join(keys) or 'none'}"
        else:
            continue
        findings.append(Finding(Reason.CONFIG_MAP_NOT_FOUND, f"{uri}: {what}"))
    return findings


def _keys(raw: dict[str, Any] | None) -> list[str]:
    return [*(raw or {}).get("data", {}), *(raw or {}).get("binaryData", {})]


async def _pods(context: Context, blueprint: Blueprint) -> tuple[Finding, ...]:
    """A dry run of every pod: fragments that we pass through, ServiceAccount, PriorityClass."""
    verdicts: dict[str, None] = {}
    for pod in pods_to_try(blueprint):
        try:
            await context.kubernetes.create(PODS, blueprint.job.namespace, pod, dry_run=True)
        except (Invalid, Denied) as error:
            if "exceeded quota" not in error.message:
                verdicts[error.message] = None
    return _rejections(verdicts)


def _rejections(messages: Iterable[str]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            Reason.POD_REJECTED,
            f"the API server would refuse the job's pods: {message}; fix spec.cluster, "
            "spec.scheduling or the runtime",
        )
        for message in messages
    )


async def read(
    context: Context, resource: Resource, namespace: str | None, name: str
) -> dict[str, Any] | None:
    """The object, or None when it is not there."""
    try:
        return await context.kubernetes.get(resource, namespace, name)
    except NotFound:
        return None
