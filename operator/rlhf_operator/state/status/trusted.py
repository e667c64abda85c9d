"""The status of a job as far as it can be true: whoever may edit the job may edit its status.

What breaks a rule of the status is left out. Names and ids of children are those that the operator
gives; other ones are replaced, so that no status makes it ask or delete what is not the job's.
A time lies in the past.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from openrlhf_core.spec.kinds.status import (
    AttemptStatus,
    Condition,
    RLHFJobStatus,
    StatusModel,
)
from rlhf_operator import names
from rlhf_operator.conditions import Reason
from rlhf_operator.findings import Finding
from rlhf_operator.state.times import from_text, to_text
from rlhf_operator.untrusted import fit

T = TypeVar("T", bound=StatusModel)
MAX_ATTEMPT = 10**names.MAX_ATTEMPT_DIGITS - 2
MAX_CLOCK_SKEW = timedelta(seconds=60)
TIMES = ("start_time", "completion_time", "stop_time", "end_time", "last_transition_time")


def read_status(
    raw: Any, job_name: str, job_uid: str, now: datetime
) -> tuple[RLHFJobStatus, tuple[Finding, ...]]:
    """The status that is to be believed, and a finding for each part of it that is not."""
    found, complaints = fit(RLHFJobStatus, raw if isinstance(raw, Mapping) else {})
    status = found or RLHFJobStatus()
    wrong = list(complaints)
    believed = _with_own_names(_with_past_times(status, now, wrong), job_name, job_uid, wrong)
    findings = (Finding(Reason.WRONG_STATUS, f"status: {text}; left out") for text in wrong)
    return believed, tuple(findings)


def _with_past_times(status: RLHFJobStatus, now: datetime, wrong: list[str]) -> RLHFJobStatus:
    status = _past(status, "", now, wrong)
    if status.attempt is not None:
        status = status.changed(attempt=_past(status.attempt, "attempt.", now, wrong))
    conditions = tuple(_condition(condition, now, wrong) for condition in status.conditions)
    return status if conditions == status.conditions else status.changed(conditions=conditions)


def _condition(condition: Condition, now: datetime, wrong: list[str]) -> Condition:
    """A condition needs a transition time; one that can not be read is taken for now."""
    if _is_time(condition.last_transition_time, now):
        return condition
    wrong.append(f"conditions[{condition.type}].lastTransitionTime is no time in the past")
    return condition.changed(last_transition_time=to_text(now))


def _past(model: T, path: str, now: datetime, wrong: list[str]) -> T:
    """The model without times that can not be read; one in the future is taken for now."""
    changes: dict[str, str | None] = {}
    for name in TIMES:
        text = getattr(model, name, None)
        if text is not None and not _is_time(text, now):
            wrong.append(f"{path}{name} is no time in the past")
            changes[name] = to_text(now)
    return model.changed(**changes) if changes else model


def _is_time(text: str, now: datetime) -> bool:
    try:
        return from_text(text) <= now + MAX_CLOCK_SKEW
    except (ValueError, OverflowError):
        return False


def _with_own_names(
    status: RLHFJobStatus, job_name: str, job_uid: str, wrong: list[str]
) -> RLHFJobStatus:
    attempt, cluster = status.attempt, status.ray_cluster
    if attempt is not None and not 1 <= attempt.number <= MAX_ATTEMPT:
        wrong.append(f"attempt.number is {attempt.number}")
        attempt = None
    if attempt is not None:
        attempt = _own_attempt(attempt, job_name, job_uid, wrong)
    if cluster is not None and not names.is_ray_cluster_name(cluster.name, job_name, job_uid):
        wrong.append("rayCluster.name is no RayCluster of this job")
        cluster = None
    if attempt is status.attempt and cluster is status.ray_cluster:
        return status
    return status.changed(attempt=attempt, ray_cluster=cluster)


def _own_attempt(
    attempt: AttemptStatus, job_name: str, job_uid: str, wrong: list[str]
) -> AttemptStatus:
    name, submission = attempt.ray_cluster_name, attempt.submission_id
    own = names.ray_cluster_name(job_name, job_uid, attempt.number)
    if name is None or not names.is_ray_cluster_name(name, job_name, job_uid):
        wrong.append("attempt.rayClusterName is no RayCluster of this job")
        attempt = attempt.changed(ray_cluster_name=own)
    expected = names.submission_id(job_name, attempt.number)
    if submission is not None and submission != expected:
        wrong.append(f"attempt.submissionId is not {expected}")
        attempt = attempt.changed(submission_id=expected)
    return attempt
