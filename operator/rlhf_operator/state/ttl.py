"""Policy: a finished job is deleted when its time to live is over; its output claim stays."""

from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import Activity, DeleteJob, Step


def expire(situation: Situation) -> Step | None:
    """The last word about a finished job: delete it now, or look again when it is time."""
    if not situation.is_finished:
        return None
    ttl = situation.job.spec.lifecycle.ttl_seconds_after_finished
    if ttl is None:
        return Step(Activity.FINISHED)
    left = ttl - situation.seconds_since(situation.status.completion_time)
    if left <= 0:
        return Step(Activity.FINISHED, acts=(DeleteJob(),))
    return Step(Activity.FINISHED, requeue_seconds=left)
