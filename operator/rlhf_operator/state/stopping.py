"""Policy: an attempt that must stop is asked first, forced when its grace is over.

Why it must stop is written into the status before the first request, so that a crash in between
changes nothing and a reason that fades away is not forgotten.
"""

from collections.abc import Callable

from rlhf_operator.conditions import Reason
from rlhf_operator.state.conclude import conclude
from rlhf_operator.state.contact import why_out_of_touch
from rlhf_operator.state.deadline import why_out_of_time
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.outcome import Kind, Outcome, outcome_of
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.stall import why_stalled
from rlhf_operator.state.startup import HOPELESS, why_not_started
from rlhf_operator.state.step import Act, Activity, DeleteCluster, Step, StopDriver
from rlhf_operator.state.suspend import why_to_suspend
from rlhf_operator.state.times import to_text

REASONS: tuple[Callable[[Situation], Trouble | None], ...] = (
    why_to_suspend,
    why_out_of_time,
    why_not_started,
    why_out_of_touch,
    why_stalled,
)
CHECK_SECONDS = 1


def request_stop(situation: Situation) -> Step | None:
    """Writes down why the live attempt must stop, if it must."""
    attempt = situation.attempt
    if not situation.is_live or attempt is None or attempt.stop_time is not None:
        return None
    for why in REASONS:
        trouble = why(situation)
        if trouble is not None:
            noted = {"stop_reason": str(trouble.reason), "stop_time": to_text(situation.now)}
            stopping = attempt.model_copy(update=noted)
            return Step(
                Activity.STOPPING,
                changes={"attempt": stopping},
                note=trouble.message,
                requeue_seconds=0,
            )
    return None


def carry_on_stopping(situation: Situation) -> Step | None:
    """Asks the driver, waits for its end at most the grace period, then takes its pods away."""
    attempt, observed = situation.attempt, situation.observed
    if not situation.is_live or attempt is None or attempt.stop_time is None:
        return None
    driver, cluster = observed.driver, observed.cluster
    if driver is not None and driver.is_over:
        return conclude(situation, _outcome(situation))
    bound = situation.grace + situation.limits.spare
    if driver is not None and situation.seconds_since(attempt.stop_time) < bound:
        assert attempt.submission_id and attempt.ray_cluster_name
        stop = StopDriver(attempt.ray_cluster_name, attempt.submission_id)
        return Step(Activity.STOPPING, acts=(stop,), requeue_seconds=CHECK_SECONDS)
    if cluster is None and not observed.pods:
        return conclude(situation, _outcome(situation))
    acts: tuple[Act, ...] = ()
    if cluster is not None and not cluster.is_deleting:
        acts = (DeleteCluster(cluster.name, cluster.uid),)
    return Step(Activity.STOPPING, acts=acts, requeue_seconds=CHECK_SECONDS)


def _outcome(situation: Situation) -> Outcome:
    """What the stop means. A driver that was done, or found a fault that stays, has its say."""
    own = outcome_of(situation)
    if own is not None and own.kind in (Kind.DONE, Kind.FATAL):
        return own
    reason = (situation.attempt.stop_reason if situation.attempt else None) or ""
    message = _message(situation)
    if reason == Reason.SUSPENDED:
        return Outcome(Kind.YIELDED, Reason.SUSPENDED, message)
    if reason == Reason.DEADLINE_EXCEEDED:
        return Outcome(Kind.FATAL, Reason.DEADLINE_EXCEEDED, message)
    if reason in HOPELESS:
        return Outcome(Kind.FATAL, reason, message)
    return Outcome(Kind.LOST, reason or Reason.STOPPED_BY_OTHERS, message)


def _message(situation: Situation) -> str:
    """What was said when the stop was requested; the conditions have kept it."""
    running = situation.condition("Running")
    return running.message if running is not None else ""
