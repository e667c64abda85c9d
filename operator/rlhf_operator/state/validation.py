"""Policy: a job with findings gets no pod. It is looked at again, since it may be mended in place
or what it names may appear."""

from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import Activity, Step

RECHECK_SECONDS = 15


def reject(situation: Situation) -> Step | None:
    """Rejected while there are findings and no attempt has begun."""
    if situation.attempt is not None or not situation.observed.findings:
        return None
    return Step(Activity.REJECTED, requeue_seconds=RECHECK_SECONDS)
