"""`activeDeadlineSeconds` bounds how long a job holds pods, over all its attempts."""

from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.policies.attempt_end import seconds_held
from rlhf_operator.state.situation import Situation


def why_out_of_time(situation: Situation) -> Trouble | None:
    """The reason to stop the live attempt and fail the job. Time suspended or queued does not
    count."""
    left = seconds_left(situation)
    if left is None or left > 0:
        return None
    limit = situation.job.spec.lifecycle.active_deadline_seconds
    return Trouble(
        Reason.DEADLINE_EXCEEDED,
        f"the job held pods for activeDeadlineSeconds ({limit} s); its checkpoints stay, and a "
        "new job with the same storage.output.subPath continues them",
    )


def seconds_left(situation: Situation) -> float | None:
    """Seconds until the deadline; None without one."""
    limit = situation.job.spec.lifecycle.active_deadline_seconds
    if limit is None:
        return None
    return limit - situation.status.active_seconds - seconds_held(situation)
