"""What a job that is not valid gets: no pod, and Validated=False with every finding.

Two cases. `reject`: the job was read and planned, and something it names or asks for is wrong. It
is looked at again, because the job may be fixed in place and what it names may appear.
`unreadable_status`: the job breaks a rule of its kind, or the operator may not read what it needs;
then there is no plan to decide on.
"""

from datetime import datetime

from openrlhf_core.spec.kinds.status import Condition, RLHFJobStatus
from rlhf_operator.conditions import Reason, phase_of, with_condition
from rlhf_operator.findings import Finding
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import Activity, Step
from rlhf_operator.state.times import to_text

RECHECK_SECONDS = 15
MAX_MESSAGE = 4000


def reject(situation: Situation) -> Step | None:
    """Rejects a job that has findings and whose first attempt has not begun."""
    if situation.attempt is not None or not situation.observed.findings:
        return None
    return Step(Activity.REJECTED, requeue_seconds=RECHECK_SECONDS)


def unreadable_status(
    status: RLHFJobStatus, findings: tuple[Finding, ...], generation: int | None, now: datetime
) -> RLHFJobStatus:
    """The status with every finding in Validated; nothing else of it changes."""
    message = "; ".join(finding.message for finding in findings) or "the job can not be read"
    rejected = Condition(
        type="Validated",
        status="False",
        reason=str(findings[0].reason if findings else Reason.INVALID_SPEC),
        message=message[:MAX_MESSAGE],
        observed_generation=generation,
        last_transition_time=to_text(now),
    )
    conditions = with_condition(status.conditions, rejected)
    return status.changed(
        observed_generation=generation, conditions=conditions, phase=phase_of(conditions)
    )
