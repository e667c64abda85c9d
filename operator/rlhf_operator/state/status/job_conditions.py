"""Which condition is True when: one function for each, from the situation, the step and the new
status."""

from collections.abc import Callable

from openrlhf_core.spec.kinds.status import Condition, ConditionType, RLHFJobStatus
from rlhf_operator.conditions import ConditionStatus, Reason, find, with_condition
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.status.trouble import unready_message
from rlhf_operator.state.step import Activity, Step
from rlhf_operator.state.times import to_text

MAX_MESSAGE = 4000
Claim = tuple[ConditionStatus, Reason | str, str]
"""Status, reason and message of a condition."""
Judge = Callable[[Situation, Step, RLHFJobStatus], Claim | None]
"""Judges one condition; None leaves it as it is."""


def job_conditions(
    situation: Situation, step: Step, status: RLHFJobStatus
) -> tuple[Condition, ...]:
    """Every condition of the new status; a transition time changes only with its status."""
    conditions = situation.status.conditions
    for name, judge in JUDGES.items():
        claim = judge(situation, step, status)
        if claim is None:
            continue
        value, reason, message = claim
        condition = Condition(
            type=name,
            status=value,
            reason=str(reason),
            message=message[:MAX_MESSAGE],
            observed_generation=situation.job.metadata.generation,
            last_transition_time=to_text(situation.now),
        )
        conditions = with_condition(conditions, condition)
    return conditions


def _validated(situation: Situation, step: Step, status: RLHFJobStatus) -> Claim | None:
    findings = situation.observed.findings
    if status.attempt is not None and situation.condition_holds("Validated"):
        return "True", Reason.VALID, "spec, runtime and what they name are in order"
    if findings:
        return "False", findings[0].reason, "; ".join(finding.message for finding in findings)
    if situation.observed.resolved is None:
        return None
    return "True", Reason.VALID, "spec, runtime and what they name are in order"


def _queued(situation: Situation, step: Step, status: RLHFJobStatus) -> Claim:
    cluster = situation.observed.cluster
    if _is_over(step) or cluster is None or not cluster.is_suspended:
        return "False", Reason.NOT_QUEUED, ""
    message = f"RayCluster {cluster.name} is suspended until its queue admits it"
    return "True", Reason.WAITING_FOR_QUOTA, message


def _cluster_ready(situation: Situation, step: Step, status: RLHFJobStatus) -> Claim:
    cluster = situation.observed.cluster
    if step.failure and cluster is None:
        return "False", Reason.ACT_FAILED, step.failure
    if _is_over(step) or status.attempt is None or step.activity is Activity.REJECTED:
        return "False", Reason.NO_ATTEMPT, "no attempt is under way"
    if cluster is None:
        findings = "; ".join(finding.message for finding in situation.observed.findings)
        making = f"making RayCluster {status.attempt.ray_cluster_name}"
        return "False", Reason.CREATING, findings or making
    if cluster.is_suspended:
        return "False", Reason.WAITING_FOR_QUOTA, "no pods before the queue admits them"
    if situation.is_cluster_ready:
        return "True", Reason.PODS_READY, "head and all workers are ready"
    trouble = unready_message(situation)
    return "False", trouble.reason, trouble.message


def _running(situation: Situation, step: Step, status: RLHFJobStatus) -> Claim:
    if step.activity is Activity.RUNNING:
        if situation.observed.is_silent:
            return "Unknown", Reason.CLUSTER_UNREACHABLE, situation.observed.silence or ""
        return "True", Reason.DRIVER_RUNNING, _driver_message(situation)
    reason, message = RUNNING_REASONS[step.activity]
    was_submitted = status.attempt is not None and status.attempt.submission_id is not None
    if reason is Reason.STOPPING and not was_submitted:
        reason = Reason.STOPPING_BEFORE_START
    old = find(situation.status.conditions, "Running")
    if step.activity is Activity.STOPPING and old is not None and old.reason == reason:
        message = old.message
    return "False", reason, step.note or step.failure or message


def _driver_message(situation: Situation) -> str:
    attempt = situation.attempt
    return f"Ray job {attempt.submission_id} is running" if attempt else ""


def _stalled(situation: Situation, step: Step, status: RLHFJobStatus) -> Claim:
    attempt = status.attempt
    if attempt is not None and attempt.stop_reason == Reason.STALLED:
        return "True", Reason.NO_PROGRESS, step.note or _kept(situation, "Stalled")
    if step.activity is Activity.RUNNING:
        return "False", Reason.PROGRESSING, ""
    return "False", Reason.NOT_RUNNING, ""


def _suspended(situation: Situation, step: Step, status: RLHFJobStatus) -> Claim:
    if step.activity is Activity.SUSPENDED:
        latest = status.checkpoints.latest if status.checkpoints else None
        kept = f"; checkpoint of step {latest.step} is kept" if latest else ""
        return "True", Reason.SUSPENDED, f"no pods are held{kept}"
    if situation.job.spec.suspend and not _is_over(step):
        return "False", Reason.SUSPENDING, "stopping with a checkpoint"
    return "False", Reason.NOT_SUSPENDED, ""


def _checkpoint(situation: Situation, step: Step, status: RLHFJobStatus) -> Claim:
    latest = status.checkpoints.latest if status.checkpoints else None
    if latest is None:
        return "False", Reason.NO_CHECKPOINT, "no checkpoint was committed yet"
    return "True", Reason.CHECKPOINT_COMMITTED, f"step {latest.step} at {latest.path}"


def _degraded(situation: Situation, step: Step, status: RLHFJobStatus) -> Claim | None:
    """Never set on a job with which nothing was ever wrong."""
    complaints = situation.observed.complaints
    if complaints:
        said = dict.fromkeys(complaint.message for complaint in complaints)
        return "True", complaints[0].reason, "; ".join(said)
    if situation.condition("Degraded") is None:
        return None
    return "False", Reason.AS_EXPECTED, ""


def _complete(situation: Situation, step: Step, status: RLHFJobStatus) -> Claim | None:
    return _verdict(situation, step, "Complete")


def _failed(situation: Situation, step: Step, status: RLHFJobStatus) -> Claim | None:
    return _verdict(situation, step, "Failed")


def _verdict(situation: Situation, step: Step, name: ConditionType) -> Claim | None:
    if step.verdict is not None and step.verdict.condition == name:
        return "True", step.verdict.reason, step.verdict.message
    if situation.condition_holds(name):
        return None
    return "False", Reason.NOT_FINISHED, ""


def _is_over(step: Step) -> bool:
    return step.activity in (Activity.FINISHED, Activity.SUSPENDED)


def _kept(situation: Situation, name: ConditionType) -> str:
    old = find(situation.status.conditions, name)
    return old.message if old is not None else ""


RUNNING_REASONS: dict[Activity, tuple[Reason, str]] = {
    Activity.REJECTED: (Reason.NOT_STARTED, "the job is not valid; see Validated"),
    Activity.SUSPENDED: (Reason.SUSPENDED, "the job is suspended"),
    Activity.STARTING: (Reason.STARTING, "pods and driver are starting"),
    Activity.RESTARTING: (Reason.RESTARTING, "the next attempt is on its way"),
    Activity.STOPPING: (Reason.STOPPING, "stopping with a checkpoint"),
    Activity.FINISHED: (Reason.FINISHED, "the job is finished"),
    Activity.DELETING: (Reason.STOPPING, "the job is being deleted"),
}

JUDGES: dict[ConditionType, Judge] = {
    "Validated": _validated,
    "Queued": _queued,
    "ClusterReady": _cluster_ready,
    "Running": _running,
    "Stalled": _stalled,
    "Suspended": _suspended,
    "CheckpointAvailable": _checkpoint,
    "Degraded": _degraded,
    "Complete": _complete,
    "Failed": _failed,
}
