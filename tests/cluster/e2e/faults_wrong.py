"""Scenarios: something is wrong with the job; a condition names it, and nothing keeps running."""

import signal
from typing import Any

from bench import Bench, signal_driver
from following import brief, condition, follow, has_ended
from lab_cluster import CheckFailed, wait_for


def wrong_image(bench: Bench, name: str) -> str:
    """An image that is not there."""
    lifecycle = {"startupTimeoutSeconds": 60}
    image = "registry.lab/not-there:1"
    bench.start(bench.job(name, cluster={"image": image}, lifecycle=lifecycle))
    said = bench.says(name, "ClusterReady", "False", "ImagePull", image, seconds=60)
    bench.says(name, "Failed", "True", seconds=180)
    _no_pods(bench, name)
    return said


def missing_claim(bench: Bench, name: str) -> str:
    """An output claim that does not exist."""
    bench.start(bench.job(name, storage={"output": {"claimName": "not-there"}}))
    said = bench.says(name, "Validated", "False", "not-there", seconds=60)
    _no_pods(bench, name)
    return said


def unmountable_claim(bench: Bench, name: str) -> str:
    """An output claim that is there and cannot be mounted."""
    claim = f"{name}-output"
    size = {"storage": "1Gi"}
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    folder = {"path": "/not-there", "type": "Directory"}
    bench.cluster.apply(
        _object("PersistentVolume", name, {**common, "capacity": size, "hostPath": folder})
    )
    bound = {**common, "volumeName": name, "resources": {"requests": size}}
    bench.cluster.apply(_object("PersistentVolumeClaim", claim, bound))
    lifecycle = {"startupTimeoutSeconds": 45}
    try:
        bench.start(bench.job(name, storage={"output": {"claimName": claim}}, lifecycle=lifecycle))
        said = bench.says(name, "ClusterReady", "False", "FailedMount", "/not-there", seconds=60)
        bench.says(name, "Failed", "True", "FailedMount", seconds=180)
        _no_pods(bench, name)
    finally:
        bench.cluster.kubectl("delete", "pv", name, "--wait=false")
    return said


def memory_limit(bench: Bench, name: str) -> str:
    """A memory limit that the worker does not fit into."""
    resources = {"requests": {"memory": "300Mi"}, "limits": {"memory": "600Mi"}}
    group = {"name": "all", "resources": resources}
    bench.start(
        bench.job(
            name,
            cluster={"groups": [group]},
            lifecycle={"backoffLimit": 1, "backoffSeconds": 1, "startupTimeoutSeconds": 120},
        )
    )
    job = follow(bench.cluster, name, 420, has_ended)
    found = condition(job, "Failed")
    told = f"{found.get('reason')}: {found.get('message')}"
    if "OutOfMemory" not in told and "OOMKilled" not in told:
        raise CheckFailed(f"the condition does not name the memory: {told}")
    _no_pods(bench, name)
    return brief(told)


def exit_two(bench: Bench, name: str) -> str:
    """A reward function that always raises: the driver exits 2, which is never retried."""
    _code(bench, name, "def reward_func(queries, prompts, labels):\n    raise KeyError('column')\n")
    bench.start(_with_function(bench, name))
    said = bench.says(name, "Failed", "True", "column", seconds=240)
    job = bench.cluster.get("rlhfjob", name) or {}
    if job["status"]["attempt"]["number"] != 1:
        raise CheckFailed("exit 2 was retried")
    _no_pods(bench, name)
    return said


def hang(bench: Bench, name: str) -> str:
    """A driver that hangs: Stalled, then a new attempt that completes."""
    bench.start(bench.job(name, lifecycle={"progressDeadlineSeconds": 75, "backoffSeconds": 1}))
    bench.running(name, 15)
    signal_driver(signal.SIGSTOP)
    said = bench.says(name, "Stalled", "True", seconds=180)
    job = bench.completes(name)
    return f"{said}; then attempt {job['status']['attempt']['number']} completed"


def missing_reward_source(bench: Bench, name: str) -> str:
    """A reward function in a ConfigMap that is not there."""
    functions = [{"name": "default", "source": "configmap://not-there/reward.py"}]
    bench.start(bench.job(name, training={"reward": {"functions": functions}}))
    said = bench.says(name, "Validated", "False", "not-there", seconds=60)
    _no_pods(bench, name)
    return said


def bare_path(bench: Bench, name: str) -> str:
    """A path of the author's machine."""
    functions = [{"name": "default", "source": "rewards/mine.py"}]
    bench.start(bench.job(name, training={"reward": {"functions": functions}}))
    said = bench.says(name, "Validated", "False", "rewards/mine.py", seconds=60)
    _no_pods(bench, name)
    return said


def unschedulable(bench: Bench, name: str) -> str:
    """A node selector that no node has: tried again, for room may come, then given up."""
    group = {"name": "all", "podOverrides": {"nodeSelector": {"disk": "golden"}}}
    lifecycle = {"startupTimeoutSeconds": 30, "backoffLimit": 1}
    bench.start(bench.job(name, cluster={"groups": [group]}, lifecycle=lifecycle))
    said = bench.says(name, "ClusterReady", "False", "Unschedulable", seconds=60)
    bench.says(name, "Failed", "True", seconds=180)
    _no_pods(bench, name)
    return said


def retries_run_out(bench: Bench, name: str) -> str:
    """A driver that is killed more often than backoffLimit allows."""
    bench.start(bench.job(name, lifecycle={"backoffLimit": 0}))
    bench.running(name, 5)
    signal_driver(signal.SIGKILL)
    said = bench.says(name, "Failed", "True", seconds=120)
    _no_pods(bench, name)
    return said


def _code(bench: Bench, name: str, text: str) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"code-{name}"},
        "data": {"reward.py": text},
    }
    bench.cluster.apply(manifest)


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _with_function(bench: Bench, name: str) -> dict[str, Any]:
    source = f"configmap://code-{name}/reward.py"
    return bench.job(
        name, training={"reward": {"functions": [{"name": "default", "source": source}]}}
    )


def _no_pods(bench: Bench, name: str) -> None:
    selector = f"openrlhf.io/job={name}"
    wait_for("pods to go", 90, lambda: not bench.cluster.listed("pods", selector=selector), pause=1)
