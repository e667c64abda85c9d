"""Raw objects of the API server become the pods and clusters of `observed`.

Fields of Kubernetes and KubeRay are named here and nowhere else.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rlhf_operator import names
from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Cluster, Pod, Trouble
from rlhf_operator.untrusted import clean_text, reason_word

Object = Mapping[str, Any]
RAY_CONTAINER = 0
MAX_MESSAGE = 2000
MAX_IMAGE = 1000
PASSING = frozenset({"Unhealthy"})
"""Warnings that every pod gets while it starts: a probe that is asked too early."""


def pod_from(raw: Object) -> Pod:
    """A pod of a RayCluster."""
    metadata, status = raw["metadata"], raw.get("status", {})
    labels = metadata.get("labels", {})
    is_head = labels.get(names.LABEL_RAY_NODE_TYPE) == "head"
    containers = status.get("containerStatuses", [])
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        cluster=labels.get(names.LABEL_RAY_CLUSTER, ""),
        group=names.HEAD_GROUP if is_head else labels.get(names.LABEL_RAY_GROUP, ""),
        is_ready=_condition(raw, "Ready") == "True",
        is_deleting="deletionTimestamp" in metadata,
        is_disrupted=_condition(raw, "DisruptionTarget") == "True",
        trouble=pod_trouble(raw),
        is_out_of_memory=any(_was_killed_for_memory(container) for container in containers),
        image=_image(containers),
    )


def cluster_from(raw: Object, event: Trouble | None = None) -> Cluster:
    """A RayCluster; `event` is what KubeRay said of it in an event, its status being silent."""
    spec = raw.get("spec", {})
    groups = spec.get("workerGroupSpecs", [])
    return Cluster(
        name=raw["metadata"]["name"],
        uid=raw["metadata"]["uid"],
        is_suspended=bool(spec.get("suspend")),
        is_deleting="deletionTimestamp" in raw["metadata"],
        has_workers=any(group.get("replicas", 0) for group in groups),
        trouble=cluster_trouble(raw) or event,
    )


def _image(containers: Sequence[Object]) -> str:
    image = containers[RAY_CONTAINER].get("imageID", "") if containers else ""
    return clean_text(image, MAX_IMAGE)


def cluster_trouble(raw: Object) -> Trouble | None:
    """Pods that KubeRay could not make: quota, admission, a template that is refused."""
    for condition in raw.get("status", {}).get("conditions", []):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return trouble(condition.get("reason"), "FailedCreate", condition.get("message"))
    return None


def pod_trouble(raw: Object) -> Trouble | None:
    """Why a pod is not ready: its containers' word, the scheduler's, its own phase's."""
    status, name = raw.get("status", {}), raw["metadata"]["name"]
    group = raw["metadata"].get("labels", {}).get(names.LABEL_GROUP, "")
    where = f"pod {name} (group {group})" if group else f"pod {name}"
    containers = [
        *status.get("initContainerStatuses", []),
        *status.get("containerStatuses", []),
    ]
    found = _first(_container_trouble(container, where) for container in containers)
    return found or _unscheduled(raw, where) or _failed_pod(status, where)


def newest_warning(events: Iterable[Object]) -> Trouble | None:
    """The last warning that was said about an object."""
    warnings = [
        event
        for event in events
        if event.get("type") == "Warning" and event.get("reason") not in PASSING
    ]
    if not warnings:
        return None
    last = max(warnings, key=_time_of_event)
    involved = last.get("involvedObject", {})
    where = f"{str(involved.get('kind', 'object')).lower()} {involved.get('name', '')}"
    return trouble(last.get("reason"), "Warning", f"{where}: {last.get('message', '')}")


def trouble(reason: Any, otherwise: str, message: Any) -> Trouble:
    """Words of Kubernetes, KubeRay or whoever wrote an event, within the bounds of a condition."""
    return Trouble(reason_word(reason, otherwise), clean_text(message, MAX_MESSAGE))


def _container_trouble(container: Object, where: str) -> Trouble | None:
    state, name = container.get("state", {}), container.get("name")
    if _was_killed_for_memory(container) and not container.get("ready"):
        return Trouble(Reason.OUT_OF_MEMORY, f"{where}: container {name} was killed for memory")
    waiting = state.get("waiting")
    if waiting:
        said = waiting.get("message") or _last_exit(container)
        return trouble(waiting.get("reason"), "Waiting", f"{where}: {said}".rstrip(": "))
    ended = state.get("terminated")
    if ended and ended.get("exitCode"):
        message = f"{where}: container {name} exited with code {ended.get('exitCode')}"
        return trouble(ended.get("reason"), "Error", message)
    return None


def _last_exit(container: Object) -> str:
    ended = container.get("lastState", {}).get("terminated")
    return f"last exit code {ended.get('exitCode')}" if ended else ""


def _was_killed_for_memory(container: Object) -> bool:
    ends = (container.get("state", {}), container.get("lastState", {}))
    return any(end.get("terminated", {}).get("reason") == "OOMKilled" for end in ends)


def _unscheduled(raw: Object, where: str) -> Trouble | None:
    for condition in raw.get("status", {}).get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            message = f"{where}: {condition.get('message', '')}"
            return trouble(condition.get("reason"), Reason.UNSCHEDULABLE, message)
    return None


def _failed_pod(status: Object, where: str) -> Trouble | None:
    if status.get("phase") != "Failed":
        return None
    return trouble(status.get("reason"), "Failed", f"{where}: {status.get('message', '')}")


def _condition(raw: Object, name: str) -> str | None:
    for condition in raw.get("status", {}).get("conditions", []):
        if condition.get("type") == name:
            return str(condition.get("status"))
    return None


def _time_of_event(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _first(found: Iterable[Trouble | None]) -> Trouble | None:
    return next((trouble for trouble in found if trouble is not None), None)
