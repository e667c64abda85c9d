"""Policy: a job that breaks a rule of its kind, or that we may not look at closely, is rejected
without being planned."""

from datetime import datetime

from openrlhf_core.spec.kinds.status import Condition, RLHFJobStatus
from rlhf_operator.conditions import Reason, phase_of, with_condition
from rlhf_operator.findings import Finding
from rlhf_operator.state.times import to_text

MAX_MESSAGE = 4000


def decide_unreadable(
    status: RLHFJobStatus, findings: tuple[Finding, ...], generation: int | None, now: datetime
) -> RLHFJobStatus:
    """The status that says every finding; nothing else of the job is touched."""
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
    return status.model_copy(
        update={
            "observed_generation": generation,
            "conditions": conditions,
            "phase": phase_of(conditions),
        }
    )
