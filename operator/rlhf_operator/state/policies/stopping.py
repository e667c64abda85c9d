"""How an attempt is stopped, whatever the reason: the driver is asked first, forced later.

1. `request_stop` writes the reason and the time into `status.attempt`. Recorded first, they survive
   a crash of the operator and a reason that no longer holds a moment later.
2. `carry_on_stopping` asks the driver to stop, again and again, for the grace period and
   `limits.spare` seconds at most. A head that does not answer gets no such wait.
3. Then it deletes the RayCluster and waits until its pods are gone.
4. The attempt ends: as a suspension, a failure of the job, or a failure that is retried.
"""

from collections.abc import Callable

from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.policies.attempt_end import conclude
from rlhf_operator.state.policies.deadline import why_out_of_time
from rlhf_operator.state.policies.retry import End, Outcome, outcome_of
from rlhf_operator.state.policies.stall import why_out_of_touch, why_stalled
from rlhf_operator.state.policies.startup import HOPELESS, why_not_started
from rlhf_operator.state.policies.suspend import why_to_suspend
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import (
    Act,
    Activity,
    DeleteCluster,
    StatusChanges,
    Step,
    StopDriver,
)
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
    """Records why the live attempt must stop, if it must."""
    attempt = situation.attempt
    if not situation.is_live or attempt is None or attempt.stop_time is not None:
        return None
    for why in REASONS:
        trouble = why(situation)
        if trouble is not None:
            stopping = attempt.changed(
                stop_reason=str(trouble.reason), stop_time=to_text(situation.now)
            )
            return Step(
                Activity.STOPPING,
                changes=StatusChanges(attempt=stopping),
                note=trouble.message,
                requeue_seconds=0,
            )
    return None


def carry_on_stopping(situation: Situation) -> Step | None:
    """The next step of a stop that was requested."""
    attempt, observed = situation.attempt, situation.observed
    if not situation.is_live or attempt is None or attempt.stop_time is None:
        return None
    driver, cluster = observed.driver, observed.cluster
    if driver is not None and driver.is_over:
        return conclude(situation, _outcome(situation))
    bound = situation.grace + situation.limits.spare
    if driver is not None and situation.stopping_seconds < bound:
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
    """What the stop means. A driver that was done, or failed for good, before the stop reached it
    decides instead."""
    own = outcome_of(situation)
    if own is not None and own.end in (End.DONE, End.FATAL):
        return own
    reason = (situation.attempt.stop_reason if situation.attempt else None) or ""
    message = _message(situation)
    if reason == Reason.SUSPENDED:
        return Outcome(End.YIELDED, Reason.SUSPENDED, message)
    if reason == Reason.DEADLINE_EXCEEDED:
        return Outcome(End.FATAL, Reason.DEADLINE_EXCEEDED, message)
    if reason in HOPELESS:
        return Outcome(End.FATAL, reason, message)
    return Outcome(End.LOST, reason or Reason.STOPPED_BY_OTHERS, message)


def _message(situation: Situation) -> str:
    """What Running said when the stop was requested; the message is kept during the stop."""
    running = situation.condition("Running")
    return running.message if running is not None else ""
