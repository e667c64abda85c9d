"""What `spec.suspend: true` does, in order:

1. `why_to_suspend` gives the reason. `stopping.request_stop` writes it and the time into
   `status.attempt`, before anything is done.
2. `stopping.carry_on_stopping` asks the driver to stop, so that it commits a checkpoint. It has the
   grace period and `limits.spare` seconds; then the RayCluster is deleted all the same.
3. `attempt_end.conclude` ends the attempt. The end does not count against `backoffLimit`.
4. `stay_suspended` deletes every RayCluster of the job and waits until the last pod is gone.
5. The network policy is removed and Suspended becomes True.

`spec.suspend: false` lets `next_attempt.begin_next` begin the next attempt at once, on a new
cluster, from the newest checkpoint. A job that is created suspended begins at step 5.

The operator never writes `spec.suspend` of a RayCluster: that field belongs to a queue (Kueue),
which would start the cluster again.
"""

from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import Activity, DeleteCluster, RemovePolicy, Step

CHECK_SECONDS = 2


def why_to_suspend(situation: Situation) -> Trouble | None:
    """The reason to stop the live attempt of a job that is suspended."""
    if not situation.job.spec.suspend:
        return None
    return Trouble(Reason.SUSPENDED, "spec.suspend is true")


def stay_suspended(situation: Situation) -> Step | None:
    """Frees what a suspended job without a live attempt holds."""
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
