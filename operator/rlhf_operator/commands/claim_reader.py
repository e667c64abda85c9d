"""Reads one file of a job's output claim through a short-lived pod of the job's own image."""

import time
from collections.abc import Callable
from typing import Any

from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.runtime import RLHFRuntimeSpec
from rlhf_operator.commands.cluster import Cluster, NotFoundError
from rlhf_operator.commands.job_view import JobView
from rlhf_operator.commands.pods import container_log, get_pod
from rlhf_operator.names import OUTPUT_DIRECTORY

Manifest = dict[str, Any]

TIMEOUT_SECONDS = 120
"""For the pod to be placed, its image pulled, the file printed."""

MAX_LINES = 1_000_000


def read_claim(
    cluster: Cluster,
    job: JobView,
    runtime: RLHFRuntimeSpec,
    file: str,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Lines of `file` below the job's output directory.

    Raises ConfigurationError when the pod cannot be made or does not end in time.
    """
    manifest = reader_pod(job, runtime, file)
    name = manifest["metadata"]["name"]
    _delete(cluster, name)
    try:
        cluster.send("POST", cluster.core_path("pods"), f"pod {name}", manifest)
        _wait(cluster, name, sleep)
        pod = get_pod(cluster, name)
        return list(container_log(cluster, pod, tail=MAX_LINES, follow=False))
    finally:
        _delete(cluster, name)


def reader_pod(job: JobView, runtime: RLHFRuntimeSpec, file: str) -> Manifest:
    """A pod that prints the file and ends; the claim is mounted read-only."""
    output = job.status.output
    if output is None:
        raise ConfigurationError(f"{job.name} has no output yet ({job.phase})")
    overrides = runtime.head.pod_overrides
    env = [*runtime.env, *overrides.env]
    mount = {"name": "output", "mountPath": OUTPUT_DIRECTORY, "readOnly": True}
    claim = {"claimName": output.claim_name, "readOnly": True}
    container = {
        "name": "reader",
        "image": job.spec.get("cluster", {}).get("image") or runtime.image,
        "imagePullPolicy": runtime.image_pull_policy,
        "command": ["cat", f"{OUTPUT_DIRECTORY}/{output.path}/{file}"],
        "env": env,
        "volumeMounts": [mount, *overrides.volume_mounts],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{job.name}-reader"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "activeDeadlineSeconds": TIMEOUT_SECONDS,
            "terminationGracePeriodSeconds": 0,
            "imagePullSecrets": [{"name": secret.name} for secret in runtime.image_pull_secrets],
            "nodeSelector": dict(overrides.node_selector),
            "tolerations": list(overrides.tolerations),
            "containers": [container],
            "volumes": [
                {"name": "output", "persistentVolumeClaim": claim},
                *overrides.volumes,
            ],
        },
    }


def _wait(cluster: Cluster, name: str, sleep: Callable[[float], None]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    pod = get_pod(cluster, name)
    while pod.phase not in ("Succeeded", "Failed"):
        if time.monotonic() > deadline:
            raise ConfigurationError(f"pod {name} did not end: {pod.trouble or pod.phase}")
        sleep(0.5)
        pod = get_pod(cluster, name)
    if pod.phase == "Failed":
        lines = container_log(cluster, pod, tail=5, follow=False)
        raise ConfigurationError(f"pod {name} failed: {' '.join(lines) or pod.trouble}")


def _delete(cluster: Cluster, name: str) -> None:
    path = cluster.core_path("pods", name)
    try:
        cluster.send("DELETE", path, f"pod {name}", {"gracePeriodSeconds": 0})
    except NotFoundError:
        return
