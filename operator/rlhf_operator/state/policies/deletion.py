"""What happens when a job is deleted, in order:

1. The driver is asked to stop, so that it commits a checkpoint. It has the grace period and
   `limits.spare` seconds, counted from the deletion.
2. When the driver is over, or the time is, or the head does not answer, the RayClusters are
   deleted. The preStop hook of the head still gives a living driver its grace.
3. The finalizer is removed. The API server then forgets the job and collects its other children.
"""

from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import Activity, DeleteCluster, RemoveFinalizer, Step, StopDriver


def delete(situation: Situation) -> Step | None:
    """Stops the driver (at most grace + spare seconds), deletes the clusters, removes the
    finalizer."""
    deleted = situation.job.metadata.deletion_timestamp
    if deleted is None:
        return None
    attempt, observed = situation.attempt, situation.observed
    bound = situation.grace + situation.limits.spare
    is_running = observed.driver is not None and not observed.driver.is_over
    if is_running and situation.seconds_since(deleted) < bound:
        assert attempt is not None and attempt.submission_id and attempt.ray_cluster_name
        stop = StopDriver(attempt.ray_cluster_name, attempt.submission_id)
        return Step(Activity.DELETING, acts=(stop,), requeue_seconds=1)
    deletions = tuple(
        DeleteCluster(cluster.name, cluster.uid)
        for cluster in observed.clusters
        if not cluster.is_deleting
    )
    release = (RemoveFinalizer(),) if observed.has_finalizer else ()
    return Step(Activity.DELETING, acts=(*deletions, *release))
