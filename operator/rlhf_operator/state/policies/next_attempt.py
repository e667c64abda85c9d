"""When and where the next attempt begins.

When: the last attempt ended, its back-off is over, and nothing of it is left that could still
write. Where: on the same cluster while that is healthy, else on a new one.
"""

from openrlhf_core.spec.kinds.status import AttemptStatus, RayClusterStatus
from rlhf_operator import names
from rlhf_operator.conditions import Reason
from rlhf_operator.state.situation import Situation, is_usable
from rlhf_operator.state.step import (
    Activity,
    DeleteCluster,
    EnsureFinalizer,
    StatusChanges,
    Step,
)
from rlhf_operator.state.times import to_text

MAX_BACKOFF_SECONDS = 600
CHECK_SECONDS = 2
KEEPS_CLUSTER = (None, Reason.SUSPENDED)
"""Reasons of a stop that do not mean that the cluster is unhealthy."""


def begin_first(situation: Situation) -> Step | None:
    """Begins the first attempt of a valid job. It is recorded before anything is made."""
    if situation.attempt is not None:
        return None
    return _begin(situation, 1, None)


def begin_next(situation: Situation) -> Step | None:
    """Begins the attempt after one that ended."""
    attempt, observed = situation.attempt, situation.observed
    if attempt is None or attempt.end_time is None:
        return None
    kept = observed.cluster.name if observed.cluster and may_reuse(situation) else None
    doomed = [cluster for cluster in observed.clusters if cluster.name != kept]
    stray = observed.other_pods if kept else (*observed.pods, *observed.other_pods)
    if doomed or stray:
        acts = tuple(DeleteCluster(c.name, c.uid) for c in doomed if not c.is_deleting)
        return Step(Activity.RESTARTING, acts=acts, requeue_seconds=CHECK_SECONDS)
    left = backoff_seconds(situation) - situation.seconds_since(attempt.end_time)
    if left > 0:
        return Step(Activity.RESTARTING, requeue_seconds=left)
    return _begin(situation, attempt.number + 1, kept)


def may_reuse(situation: Situation) -> bool:
    """Whether the next attempt may run on the ended one's cluster: its head is ready, nothing was
    wrong with the cluster itself, and it is not the second failure on it in a row."""
    attempt, cluster = situation.attempt, situation.observed.cluster
    known, head = situation.status.ray_cluster, situation.observed.head
    if attempt is None or cluster is None or known is None or cluster.is_deleting:
        return False
    if cluster.uid != known.uid or attempt.stop_reason not in KEEPS_CLUSTER:
        return False
    if cluster.is_suspended:
        return True
    is_same_head = head is not None and is_usable(head) and head.uid == known.head_pod_uid
    is_first = names.first_attempt_of(cluster.name) == attempt.number
    return is_same_head and (is_first or not has_failed(situation))


def has_failed(situation: Situation) -> bool:
    """Whether the attempt that ended was a failure, not a preemption or a suspension."""
    attempt, failures = situation.attempt, situation.status.failures
    return attempt is not None and bool(failures) and failures[-1].time == attempt.end_time


def backoff_seconds(situation: Situation) -> float:
    """Seconds from the end of an attempt to the next: doubled with each retry; none after a
    suspension, or for a cluster that waits in a queue."""
    attempt, cluster = situation.attempt, situation.observed.cluster
    base = situation.job.spec.lifecycle.backoff_seconds
    if has_failed(situation):
        doublings = min(max(0, situation.status.restarts - 1), 16)
        return float(min(MAX_BACKOFF_SECONDS, base * 2**doublings))
    is_queued = cluster is not None and cluster.is_suspended
    was_suspended = attempt is not None and attempt.stop_reason == Reason.SUSPENDED
    return 0.0 if is_queued or was_suspended else float(base)


def _begin(situation: Situation, number: int, kept_cluster: str | None) -> Step:
    metadata, now = situation.job.metadata, to_text(situation.now)
    name = kept_cluster or names.ray_cluster_name(metadata.name, metadata.uid or "", number)
    cluster = RayClusterStatus(name=name)
    old = situation.status.ray_cluster
    if kept_cluster and old is not None:
        is_queued = situation.observed.cluster and situation.observed.cluster.is_suspended
        cluster = old.changed(head_pod_uid=None) if is_queued else old
    changes = StatusChanges(
        attempt=AttemptStatus(number=number, ray_cluster_name=name, start_time=now),
        ray_cluster=cluster,
        start_time=situation.status.start_time or now,
    )
    activity = Activity.STARTING if number == 1 else Activity.RESTARTING
    return Step(activity, acts=(EnsureFinalizer(),), changes=changes, requeue_seconds=0)
