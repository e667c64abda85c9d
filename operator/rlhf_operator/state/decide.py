"""What to do about a job: the first policy that has something to say, and the status it makes.

Pure: the same situation gives the same decision, so a pass may be repeated after a crash at any
point. An attempt, its stop and its end are written down before anything is done about them; every
act may be performed twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator.state.build_status import build_status
from rlhf_operator.state.cleanup import clean_up
from rlhf_operator.state.conclude import conclude
from rlhf_operator.state.deadline import seconds_left
from rlhf_operator.state.deletion import let_go
from rlhf_operator.state.launch import launch
from rlhf_operator.state.outcome import outcome_of
from rlhf_operator.state.retry import begin_first, begin_next
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import Act, Activity, Step
from rlhf_operator.state.stopping import carry_on_stopping, request_stop
from rlhf_operator.state.suspend import stay_suspended
from rlhf_operator.state.ttl import expire
from rlhf_operator.state.validation import reject


@dataclass(frozen=True)
class Decision:
    """Perform the acts, then write the status, then look again after `requeue_seconds`."""

    acts: tuple[Act, ...]
    status: RLHFJobStatus
    status_on_failure: Callable[[str], RLHFJobStatus]
    """Written instead when an act fails: what was observed, without the step's changes."""
    requeue_seconds: float | None


def end_if_over(situation: Situation) -> Step | None:
    """The live attempt ended by itself."""
    outcome = outcome_of(situation) if situation.is_live else None
    return None if outcome is None else conclude(situation, outcome)


POLICIES: tuple[Callable[[Situation], Step | None], ...] = (
    let_go,  # the job is being deleted
    clean_up,  # it is finished and holds pods
    expire,  # it is finished
    reject,  # it can not run
    stay_suspended,  # it should not run
    begin_first,  # it never ran
    begin_next,  # its last attempt ended
    carry_on_stopping,  # its attempt was asked to stop
    end_if_over,  # its attempt ended by itself
    request_stop,  # its attempt must stop
    launch,  # its attempt goes on
)


def decide(situation: Situation) -> Decision:
    """The decision of the first policy that answers; the last one always does."""
    step = next(step for policy in POLICIES if (step := policy(situation)) is not None)
    return Decision(
        acts=step.acts,
        status=build_status(situation, step),
        status_on_failure=lambda why: build_status(situation, without_changes(step, why)),
        requeue_seconds=_bounded(situation, step),
    )


def without_changes(step: Step, failure: str) -> Step:
    """The step as far as it went when an act failed."""
    return replace(step, changes={}, verdict=None, failure=failure)


def _bounded(situation: Situation, step: Step) -> float | None:
    """Not later than the active deadline of a job that holds pods."""
    left = seconds_left(situation)
    if left is None or step.requeue_seconds is None or step.activity is Activity.FINISHED:
        return step.requeue_seconds
    return min(step.requeue_seconds, max(1.0, left)) if situation.is_live else step.requeue_seconds
