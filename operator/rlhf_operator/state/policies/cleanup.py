"""What a finished job keeps, and for how long.

A finished job holds no device. `lifecycle.cleanup` says whether the head stays for reading its log
(`DeleteWorkers`) or all pods go. After `ttlSecondsAfterFinished` the job itself is deleted; its
output claim stays.
"""

from rlhf_operator.state.observed import Cluster
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import (
    Act,
    Activity,
    DeleteCluster,
    DeleteJob,
    DeleteWorkers,
    RemovePolicy,
    Step,
)

CHECK_SECONDS = 5


def clean_up(situation: Situation) -> Step | None:
    """Deletes what a finished job holds; None when nothing is left to do."""
    if not situation.is_finished:
        return None
    cleanup = situation.job.spec.lifecycle.cleanup
    is_success = situation.condition_holds("Complete")
    policy = cleanup.on_success if is_success else cleanup.on_failure
    own = situation.observed.cluster
    kept = own if policy == "DeleteWorkers" and own is not None else None
    acts = [
        DeleteCluster(cluster.name, cluster.uid)
        for cluster in situation.observed.clusters
        if cluster is not kept and not cluster.is_deleting
    ]
    return _step(situation, kept, tuple(acts))


def expire(situation: Situation) -> Step | None:
    """Deletes a finished job when its time to live is over, else waits for that time."""
    if not situation.is_finished:
        return None
    ttl = situation.job.spec.lifecycle.ttl_seconds_after_finished
    if ttl is None:
        return Step(Activity.FINISHED)
    left = ttl - situation.seconds_since(situation.status.completion_time)
    if left <= 0:
        return Step(Activity.FINISHED, acts=(DeleteJob(),))
    return Step(Activity.FINISHED, requeue_seconds=left)


def _step(situation: Situation, kept: Cluster | None, acts: tuple[Act, ...]) -> Step | None:
    observed = situation.observed
    if kept is not None:
        acts += (DeleteWorkers(kept.name),) if kept.has_workers else ()
        is_left = bool(acts)
    else:
        is_left = bool(observed.clusters or observed.pods or observed.other_pods)
        if not is_left and observed.has_policy:
            return Step(Activity.FINISHED, acts=(RemovePolicy(),), requeue_seconds=0)
    return Step(Activity.FINISHED, acts=acts, requeue_seconds=CHECK_SECONDS) if is_left else None
