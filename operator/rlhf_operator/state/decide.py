"""What to do about a job: the answer of the first policy that has one, and the status it makes.

Pure: the same situation gives the same decision, so a pass may be repeated after a crash at any
point. An attempt, its stop and its end are recorded in the status before anything is done about
them; every act may be performed twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator.state.policies.attempt_end import conclude
from rlhf_operator.state.policies.cleanup import clean_up, expire
from rlhf_operator.state.policies.deadline import seconds_left
from rlhf_operator.state.policies.deletion import delete
from rlhf_operator.state.policies.launch import launch
from rlhf_operator.state.policies.next_attempt import begin_first, begin_next
from rlhf_operator.state.policies.retry import outcome_of
from rlhf_operator.state.policies.stopping import carry_on_stopping, request_stop
from rlhf_operator.state.policies.suspend import stay_suspended
from rlhf_operator.state.policies.validation import reject
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.status.build import build_status
from rlhf_operator.state.step import Act, Activity, StatusChanges, Step


@dataclass(frozen=True)
class Decision:
    """Perform the acts, then write the status, then look again after `requeue_seconds`."""

    situation: Situation
    step: Step
    requeue_seconds: float | None

    @property
    def acts(self) -> tuple[Act, ...]:
        return self.step.acts

    @property
    def activity(self) -> Activity:
        return self.step.activity

    @property
    def status(self) -> RLHFJobStatus:
        """The status when every act was performed."""
        return build_status(self.situation, self.step)

    def status_on_failure(self, why: str) -> RLHFJobStatus:
        """The status when an act failed: what was observed, without the step's changes."""
        unchanged = replace(self.step, changes=StatusChanges(), verdict=None, failure=why)
        return build_status(self.situation, unchanged)


def end_if_over(situation: Situation) -> Step | None:
    """The live attempt ended by itself."""
    outcome = outcome_of(situation) if situation.is_live else None
    return None if outcome is None else conclude(situation, outcome)


POLICIES: tuple[Callable[[Situation], Step | None], ...] = (
    delete,  # the job is being deleted
    clean_up,  # it is finished and holds pods
    expire,  # it is finished and holds nothing
    reject,  # it is not valid
    stay_suspended,  # it is suspended and has no live attempt
    begin_first,  # it has no attempt yet
    begin_next,  # its last attempt ended
    carry_on_stopping,  # its attempt was asked to stop
    end_if_over,  # its attempt ended by itself
    request_stop,  # its attempt must stop
    launch,  # its attempt is live
)


def decide(situation: Situation) -> Decision:
    """The decision of the first policy that answers; the last one always does."""
    step = next(step for policy in POLICIES if (step := policy(situation)) is not None)
    return Decision(situation, step, _bounded(situation, step))


def _bounded(situation: Situation, step: Step) -> float | None:
    """When to look again: for a job that holds pods, not later than its active deadline."""
    left = seconds_left(situation)
    if left is None or step.requeue_seconds is None or step.activity is Activity.FINISHED:
        return step.requeue_seconds
    return min(step.requeue_seconds, max(1.0, left)) if situation.is_live else step.requeue_seconds
