"""Policy: a suspended job stops with a checkpoint and then frees all pods.

Our own `suspend` deletes the RayCluster; it never writes the RayCluster's `spec.suspend`, which is
a queue's, and which would start the cluster again.
"""

from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import Activity, DeleteCluster, RemovePolicy, Step

CHECK_SECONDS = 2


def why_to_suspend(situation: Situation) -> Trouble | None:
    """A reason to stop the live attempt."""
    if not situation.job.spec.suspend:
        return None
    return Trouble(Reason.SUSPENDED, "spec.suspend is true")


def stay_suspended(situation: Situation) -> Step | None:
    """A suspended job without a live attempt: nothing of it is left running."""
    if not situation.job.spec.suspend or situation.is_live:
        return None
    observed = situation.observed
    deletions = tuple(
        DeleteCluster(cluster.name, cluster.uid)
        for cluster in observed.clusters
        if not cluster.is_deleting
    )
    if observed.clusters or observed.pods or observed.other_pods:
        return Step(Activity.STOPPING, acts=deletions, requeue_seconds=CHECK_SECONDS)
    acts = (RemovePolicy(),) if observed.has_policy else ()
    return Step(Activity.SUSPENDED, acts=acts)
