"""Policy: a finished job keeps no device. The head stays where `cleanup` says DeleteWorkers."""

from rlhf_operator.state.observed import Cluster
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import (
    Act,
    Activity,
    DeleteCluster,
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
