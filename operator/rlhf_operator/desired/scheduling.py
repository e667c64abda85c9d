"""What queues and gang schedulers read: labels and annotations on RayCluster and pods."""

from collections.abc import Callable, Mapping

from openrlhf_core.spec.kinds.kubernetes import TopologySpec
from openrlhf_core.spec.kinds.scheduling import SchedulingSpec

Labels = dict[str, str]

PASSED_THROUGH = (
    "kueue.x-k8s.io/",
    "volcano.sh/",
    "yunikorn.apache.org/",
    "kai.scheduler/",
    "scheduling.x-k8s.io/",
    "ray.io/scheduler-name",
    "ray.io/priority-class-name",
    "ray.io/gang-scheduling-enabled",
)
"""Labels and annotations of a job that schedulers look for on its RayCluster."""

GANG = {"ray.io/gang-scheduling-enabled": "true"}


def cluster_labels(scheduling: SchedulingSpec, job_labels: Mapping[str, str]) -> Labels:
    """Labels of the RayCluster: the job's own scheduler labels win over what we derive."""
    derived = LABELS_OF[scheduling.scheduler or "Default"](scheduling)
    return derived | passed_through(job_labels)


def passed_through(labels: Mapping[str, str]) -> Labels:
    """Those labels or annotations of a job that a scheduler would look for."""
    return {key: value for key, value in labels.items() if key.startswith(PASSED_THROUGH)}


def pod_annotations(topology: TopologySpec | None) -> Labels:
    """Kueue's topology request of a worker group."""
    if topology is None:
        return {}
    return {f"kueue.x-k8s.io/podset-{topology.mode.lower()}-topology": topology.level}


def _queue(key: str, scheduling: SchedulingSpec) -> Labels:
    return {key: scheduling.queue_name} if scheduling.queue_name else {}


def _gang(scheduling: SchedulingSpec) -> Labels:
    return {} if scheduling.gang is False else dict(GANG)


def _kueue(scheduling: SchedulingSpec) -> Labels:
    return _queue("kueue.x-k8s.io/queue-name", scheduling)


def _volcano(scheduling: SchedulingSpec) -> Labels:
    labels = _queue("volcano.sh/queue-name", scheduling)
    if scheduling.priority_class_name:
        labels["ray.io/priority-class-name"] = scheduling.priority_class_name
    return labels


def _yunikorn(scheduling: SchedulingSpec) -> Labels:
    return _queue("yunikorn.apache.org/queue", scheduling) | _gang(scheduling)


def _kai(scheduling: SchedulingSpec) -> Labels:
    return _queue("kai.scheduler/queue", scheduling)


LABELS_OF: dict[str, Callable[[SchedulingSpec], Labels]] = {
    "Default": _kueue,
    "Volcano": _volcano,
    "YuniKorn": _yunikorn,
    "KAI": _kai,
    "SchedulerPlugins": _gang,
}
