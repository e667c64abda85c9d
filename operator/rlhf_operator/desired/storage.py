"""Volumes: output, cache, shared memory, the configuration, and what sources name."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from openrlhf_core.spec.kinds.quantity import Quantity
from openrlhf_core.spec.kinds.sources import Source
from openrlhf_core.spec.kinds.storage import CacheStorageSpec, OutputStorageSpec
from rlhf_operator import names
from rlhf_operator.desired.ray_types import Object
from rlhf_operator.desired.resources import format_quantity

MANY_NODES = frozenset({"ReadWriteMany"})

Mounted = tuple[Object, Object]
"""A volume of the pod and the mount of its container."""


def output_claim(job_name: str, job_uid: str, namespace: str, output: OutputStorageSpec) -> Object:
    """The claim made from `storage.output.size`. It has no owner: it outlives the job."""
    spec: Object = {
        "accessModes": [output.access_mode or "ReadWriteMany"],
        "resources": {"requests": {"storage": str(output.size)}},
    }
    if output.storage_class_name:
        spec["storageClassName"] = output.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": names.output_claim_name(job_name),
            "namespace": namespace,
            "labels": {
                names.LABEL_JOB: job_name,
                names.LABEL_MANAGED_BY: names.OPERATOR_NAME,
            },
        },
        "spec": spec,
    }


def claim_of(job_name: str, output: OutputStorageSpec) -> str:
    """The claim that holds the output: the one named, else the one made."""
    return output.claim_name or names.output_claim_name(job_name)


def sub_path_of(job_name: str, job_uid: str, output: OutputStorageSpec) -> str:
    """The job's directory in its output claim."""
    return output.sub_path or names.output_sub_path(job_name, job_uid)


def is_shared(output: OutputStorageSpec | None, claim: Mapping[str, Any] | None) -> bool:
    """Whether pods on many nodes may mount the output: by the claim that is there, else by the
    access mode that is asked for."""
    if claim is not None:
        modes = claim.get("spec", {}).get("accessModes", [])
        return any(mode in MANY_NODES for mode in modes)
    wanted = output.access_mode if output is not None else None
    return (wanted or "ReadWriteMany") in MANY_NODES


def pod_volumes(
    job_name: str,
    output: OutputStorageSpec,
    cache: CacheStorageSpec | None,
    shared_memory: Quantity | Decimal | None,
    sources: Iterable[Source],
) -> tuple[Mounted, ...]:
    """Every volume that a pod of the job mounts, once each."""
    listed = tuple(sources)
    claims = dict.fromkeys(source.name for source in listed if source.scheme == "pvc")
    return (
        _claim("output", claim_of(job_name, output), names.OUTPUT_DIRECTORY),
        _cache(cache),
        _shared_memory(shared_memory),
        _config(job_name, listed),
        *(
            _claim(f"claim-{index}", claim, f"{names.CLAIMS_DIRECTORY}/{claim}", read_only=True)
            for index, claim in enumerate(claims)
        ),
    )


def _claim(volume: str, claim: str, path: str, read_only: bool = False) -> Mounted:
    mount: Object = {"name": volume, "mountPath": path}
    if read_only:
        mount["readOnly"] = True
    return {"name": volume, "persistentVolumeClaim": {"claimName": claim}}, mount


def _cache(cache: CacheStorageSpec | None) -> Mounted:
    if cache is not None and cache.claim_name:
        return _claim("cache", cache.claim_name, names.CACHE_DIRECTORY)
    bound = {"sizeLimit": str(cache.size)} if cache is not None and cache.size else {}
    return {"name": "cache", "emptyDir": bound}, {
        "name": "cache",
        "mountPath": names.CACHE_DIRECTORY,
    }


def _shared_memory(size: Quantity | Decimal | None) -> Mounted:
    volume: Object = {"medium": "Memory"}
    if size is not None:
        volume["sizeLimit"] = format_quantity(size) if isinstance(size, Decimal) else str(size)
    return {"name": "shm", "emptyDir": volume}, {"name": "shm", "mountPath": "/dev/shm"}


def _config(job_name: str, sources: tuple[Source, ...]) -> Mounted:
    """/etc/rlhf: the job's own ConfigMap and, below configmaps/, the keys that sources name.

    One projected volume, because a mount can not lie inside another that is read-only.
    """
    keys = dict.fromkeys(
        (source.name, source.path) for source in sources if source.scheme == "configmap"
    )
    parts: list[Object] = [{"configMap": {"name": names.config_map_name(job_name)}}]
    for name, key in keys:
        item = {"key": key, "path": f"configmaps/{name}/{key}"}
        parts.append({"configMap": {"name": name, "items": [item]}})
    volume = {"name": "config", "projected": {"sources": parts}}
    return volume, {"name": "config", "mountPath": names.CONFIG_DIRECTORY, "readOnly": True}
