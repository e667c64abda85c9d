"""A job's pods, as the commands use them: which there are, their logs, a command run in one.

Commands are run through the kubelet (`pods/exec`), not through the pod network: the NetworkPolicy
of a job lets nobody but the operator in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream
from urllib3.exceptions import HTTPError

from openrlhf_core.spec.exit_codes import ConfigurationError
from rlhf_operator.commands.cluster import Cluster, lines_of
from rlhf_operator.names import HEAD_GROUP, LABEL_JOB, LABEL_RAY_GROUP, LABEL_RAY_NODE_TYPE

CONTAINER_INDEX = 0
"""KubeRay's rule: the first container is Ray's."""


@dataclass(frozen=True)
class Pod:
    """One pod of a job."""

    name: str
    group: str
    phase: str
    is_ready: bool
    trouble: str
    container: str


def pods_of(cluster: Cluster, job_name: str, group: str | None = None) -> list[Pod]:
    """Pods of the job, the head first; those of one worker group (or `head`) on request.

    Raises ConfigurationError naming the groups there are when the asked one has no pod.
    """
    query = {"labelSelector": f"{LABEL_JOB}={job_name}"}
    items = cluster.get(cluster.core_path("pods"), f"pods of {job_name}", **query)["items"]
    pods = sorted(map(pod_of, items), key=lambda pod: (pod.group != HEAD_GROUP, pod.name))
    if group is None:
        return pods
    chosen = [pod for pod in pods if pod.group == group]
    if not chosen:
        there = ", ".join(sorted({pod.group for pod in pods})) or "none: the job has no pods now"
        raise ConfigurationError(
            f"{job_name} has no pod in group {group!r}; groups with pods: {there}"
        )
    return chosen


def get_pod(cluster: Cluster, name: str) -> Pod:
    """One pod by its name. NotFoundError where there is none."""
    return pod_of(cluster.get(cluster.core_path("pods", name), f"pod {name}"))


def container_log(cluster: Cluster, pod: Pod, *, tail: int, follow: bool) -> Iterator[str]:
    """Lines that the pod's Ray container printed."""
    query = {"container": pod.container, "tailLines": str(tail), "follow": str(follow).lower()}
    path = cluster.core_path("pods", f"{pod.name}/log")
    timeout = (5.0, None if follow else 30.0)
    response = cluster.stream("GET", path, f"log of pod {pod.name}", query=query, timeout=timeout)
    try:
        for line in lines_of(response):
            yield line.decode(errors="replace")
    finally:
        response.close()


def run_in(cluster: Cluster, pod: Pod, command: Sequence[str]) -> Iterator[str]:
    """Lines of standard output of a command in the pod's Ray container, as they come.

    Raises ConfigurationError when the command cannot be started or ends with another code than 0.
    """
    channel = _exec(cluster, pod, command)
    rest, errors = "", ""
    while channel.is_open():
        channel.update(timeout=1)
        errors += channel.read_stderr() if channel.peek_stderr() else ""
        *lines, rest = (rest + (channel.read_stdout() if channel.peek_stdout() else "")).split("\n")
        yield from lines
    yield from [rest] if rest else []
    code = _exit_code(channel)
    if code != 0:
        ended = "could not be started" if code is None else f"ended with code {code}"
        raise ConfigurationError(f"{command[0]} in pod {pod.name} {ended}: {errors.strip()}")


def _exit_code(channel: Any) -> int | None:
    """What the command ended with; None when the container could not start it."""
    try:
        return int(channel.returncode or 0)
    except ValueError:  # the package takes any refusal for an exit code
        return None


def _exec(cluster: Cluster, pod: Pod, command: Sequence[str]) -> Any:
    try:
        return stream(
            client.CoreV1Api(cluster.api).connect_get_namespaced_pod_exec,
            pod.name,
            cluster.namespace,
            container=pod.container,
            command=list(command),
            stderr=True,
            stdin=False,
            stdout=True,
            tty=False,
            _preload_content=False,
        )
    except (ApiException, HTTPError, OSError) as fault:
        reason = getattr(fault, "reason", None) or fault
        raise ConfigurationError(
            f"no command can be run in pod {pod.name} ({pod.phase}): {reason}; it takes the right "
            f"`create pods/exec` in namespace {cluster.namespace}, and a pod that runs"
        ) from fault


def pod_of(item: dict[str, Any]) -> Pod:
    """The pod that an object of the API server is."""
    labels = item["metadata"].get("labels", {})
    is_head = labels.get(LABEL_RAY_NODE_TYPE) == "head"
    status = item.get("status", {})
    states = status.get("containerStatuses", [])
    return Pod(
        name=item["metadata"]["name"],
        group=HEAD_GROUP if is_head else labels.get(LABEL_RAY_GROUP, ""),
        phase=status.get("phase", "Unknown"),
        is_ready=bool(states) and all(state.get("ready") for state in states),
        trouble=_trouble(status),
        container=item["spec"]["containers"][CONTAINER_INDEX]["name"],
    )


def _trouble(status: dict[str, Any]) -> str:
    """`ImagePullBackOff: message` of a container that waits or died, else the scheduler's words."""
    containers = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    for container in containers:
        for name in ("waiting", "terminated"):
            state = container.get("state", {}).get(name)
            if state and state.get("reason") not in (None, "Completed", "PodInitializing"):
                return ": ".join(word for word in (state["reason"], state.get("message")) if word)
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""
