"""Policy: an attempt that makes no step in `progressDeadlineSeconds` is given up."""

from datetime import datetime

from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.times import from_text, from_unix


def why_stalled(situation: Situation) -> Trouble | None:
    """A reason to stop the live attempt: no step for too long while it was running."""
    since = last_sign(situation)
    limit = situation.job.spec.lifecycle.progress_deadline_seconds
    if since is None or (situation.now - since).total_seconds() < limit:
        return None
    progress = situation.observed.progress
    where = f" in phase {progress.phase} after step {progress.step}" if progress else ""
    return Trouble(Reason.STALLED, f"no progress for progressDeadlineSeconds ({limit} s){where}")


def last_sign(situation: Situation) -> datetime | None:
    """When the running driver last moved: its own word, and not before it was seen to run."""
    running = situation.condition("Running")
    if running is None or running.status != "True" or not situation.is_submitted:
        return None
    seen = from_text(running.last_transition_time)
    progress = situation.observed.progress
    return seen if progress is None else max(seen, from_unix(progress.last_update_time))
