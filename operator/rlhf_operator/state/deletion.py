"""Policy: a deleted job stops its driver, frees its pods, and is let go within a bound.

The finalizer never waits for a dashboard that is dead: a head that is silent is deleted at once,
and the preStop hook of its pod still gives the driver its grace.
"""

from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import Activity, DeleteCluster, RemoveFinalizer, Step, StopDriver


def let_go(situation: Situation) -> Step | None:
    """While the driver lives and the bound is not reached: stop it. Then: delete, and let go."""
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
