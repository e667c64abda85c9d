"""What a live attempt needs next.

1. No cluster: prepare the children, then create the RayCluster.
2. The cluster is queued, or not all pods are ready: wait.
3. All pods are ready: submit the driver, once.
4. The driver was submitted: watch it.
"""

from rlhf_operator import names
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import (
    Act,
    Activity,
    CreateCluster,
    DeleteCluster,
    EnsureFinalizer,
    PrepareChildren,
    StatusChanges,
    Step,
    SubmitDriver,
)

CHECK_SECONDS = 2
LEAVING_SECONDS = 1.0
"""Between looks while a pod is being deleted: when the head is gone, the exit code is lost."""


def launch(situation: Situation) -> Step | None:
    """The next act of the live attempt."""
    if not situation.is_live:
        return None
    if situation.observed.cluster is None:
        return _make_cluster(situation)
    activity = _starting(situation)
    if situation.is_submitted:
        return _watch(situation)
    if not situation.is_cluster_ready:
        return Step(activity, requeue_seconds=situation.limits.poll)
    return _submit(situation)


def _make_cluster(situation: Situation) -> Step:
    """Creates the attempt's cluster when nothing of an earlier one is left."""
    observed, attempt = situation.observed, situation.attempt
    activity = _starting(situation)
    assert attempt is not None and attempt.ray_cluster_name
    if observed.other_clusters or observed.other_pods:
        acts: tuple[Act, ...] = tuple(
            DeleteCluster(c.name, c.uid) for c in observed.other_clusters if not c.is_deleting
        )
        return Step(activity, acts=acts, requeue_seconds=CHECK_SECONDS)
    if observed.resolved is None:
        return Step(activity, requeue_seconds=situation.limits.status)
    finalizer = () if observed.has_finalizer else (EnsureFinalizer(),)
    create = CreateCluster(attempt.ray_cluster_name)
    return Step(activity, acts=(*finalizer, PrepareChildren(), create), requeue_seconds=1)


def _submit(situation: Situation) -> Step:
    attempt, known = situation.attempt, situation.status.ray_cluster
    head, cluster = situation.observed.head, situation.observed.cluster
    assert attempt is not None and known is not None and head is not None and cluster is not None
    submission = names.submission_id(situation.job.metadata.name, attempt.number)
    return Step(
        _starting(situation),
        acts=(SubmitDriver(cluster.name, attempt.number, submission),),
        changes=StatusChanges(
            attempt=attempt.changed(submission_id=submission),
            ray_cluster=known.changed(
                uid=cluster.uid, head_pod_uid=head.uid, head_pod_name=head.name
            ),
        ),
        requeue_seconds=1,
    )


def _watch(situation: Situation) -> Step:
    driver = situation.observed.driver
    running = situation.condition("Running")
    was_running = running is not None and running.status != "False"
    is_running = was_running if driver is None else driver.status == "RUNNING"
    activity = Activity.RUNNING if is_running else _starting(situation)
    is_leaving = any(pod.is_deleting for pod in situation.observed.pods)
    pause = min(LEAVING_SECONDS, situation.limits.poll) if is_leaving else situation.limits.poll
    return Step(activity, requeue_seconds=pause)


def _starting(situation: Situation) -> Activity:
    attempt = situation.attempt
    is_first = attempt is None or attempt.number == 1
    return Activity.STARTING if is_first else Activity.RESTARTING
