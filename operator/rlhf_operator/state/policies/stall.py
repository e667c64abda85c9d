"""An attempt that shows no sign of life must stop: its head is silent, or it makes no step."""

from datetime import datetime

from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.times import from_text, from_unix


def why_out_of_touch(situation: Situation) -> Trouble | None:
    """The reason to give up an attempt whose head has not answered for `limits.contact` seconds."""
    running, observed = situation.condition("Running"), situation.observed
    if running is None or running.status != "Unknown" or not observed.is_silent:
        return None
    silent = situation.seconds_since(running.last_transition_time)
    if silent < situation.limits.contact:
        return None
    message = f"the head has not answered for {int(silent)} s: {observed.silence}"
    return Trouble(Reason.CLUSTER_UNREACHABLE, message)


def why_stalled(situation: Situation) -> Trouble | None:
    """The reason to give up a running attempt that made no step in `progressDeadlineSeconds`."""
    since = last_sign(situation)
    limit = situation.job.spec.lifecycle.progress_deadline_seconds
    if since is None or (situation.now - since).total_seconds() < limit:
        return None
    progress = situation.observed.progress
    where = f" in phase {progress.phase} after step {progress.step}" if progress else ""
    return Trouble(Reason.STALLED, f"no progress for progressDeadlineSeconds ({limit} s){where}")


def last_sign(situation: Situation) -> datetime | None:
    """When the running driver last moved, by its own word, but not before Running became True."""
    running = situation.condition("Running")
    if running is None or running.status != "True" or not situation.is_submitted:
        return None
    seen = from_text(running.last_transition_time)
    progress = situation.observed.progress
    return seen if progress is None else max(seen, from_unix(progress.last_update_time))
