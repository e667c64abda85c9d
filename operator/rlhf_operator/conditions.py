"""Condition types, reasons and the phase: every word that a status may say, each once."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal, get_args

from openrlhf_core.spec.kinds.status import Condition, ConditionType, JobPhase

TYPES: tuple[ConditionType, ...] = get_args(ConditionType)

ConditionStatus = Literal["True", "False", "Unknown"]


class Reason(StrEnum):
    """Why a condition is what it is, where no container or scheduler gave a word of its own."""

    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"
    RUNTIME_NOT_FOUND = "RuntimeNotFound"
    INVALID_RUNTIME = "InvalidRuntime"
    OVERRIDE_NOT_ALLOWED = "OverrideNotAllowed"
    SOURCE_NOT_REACHABLE = "SourceNotReachable"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
    PLAN_DOES_NOT_FIT = "PlanDoesNotFit"
    POD_REJECTED = "PodRejected"
    KUBERAY_NOT_INSTALLED = "KubeRayNotInstalled"
    API_DENIED = "ApiDenied"

    NOT_QUEUED = "NotQueued"
    WAITING_FOR_QUOTA = "WaitingForQuota"

    NO_ATTEMPT = "NoAttempt"
    CREATING = "Creating"
    PODS_NOT_READY = "PodsNotReady"
    PODS_READY = "PodsReady"
    CLUSTER_UNREACHABLE = "ClusterUnreachable"
    UNSCHEDULABLE = "Unschedulable"
    ACT_FAILED = "ActFailed"

    NOT_STARTED = "NotStarted"
    STARTING = "Starting"
    DRIVER_RUNNING = "DriverRunning"
    RESTARTING = "Restarting"
    STOPPING = "Stopping"
    STOPPING_BEFORE_START = "StoppingBeforeStart"
    FINISHED = "Finished"

    PROGRESSING = "Progressing"
    NO_PROGRESS = "NoProgress"
    NOT_RUNNING = "NotRunning"

    NOT_SUSPENDED = "NotSuspended"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"

    NO_CHECKPOINT = "NoCheckpoint"
    CHECKPOINT_COMMITTED = "CheckpointCommitted"

    AS_EXPECTED = "AsExpected"
    WRONG_ANSWER = "WrongAnswer"
    WRONG_STATUS = "WrongStatus"
    STATUS_REFUSED = "StatusRefused"
    PASS_FAILED = "PassFailed"

    NOT_FINISHED = "NotFinished"
    DONE = "Done"
    DRIVER_FAILED = "DriverFailed"
    CONFIGURATION_REJECTED = "ConfigurationRejected"
    NON_FINITE = "NonFinite"
    OUT_OF_MEMORY = "OutOfMemory"
    COLLECTIVE_TIMEOUT = "CollectiveTimeout"
    CLUSTER_LOST = "ClusterLost"
    WORKER_LOST = "WorkerLost"
    STOPPED_BY_OTHERS = "StoppedByOthers"
    PREEMPTED = "Preempted"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    STARTUP_TIMEOUT = "StartupTimeout"
    STALLED = "Stalled"


def with_condition(
    conditions: Iterable[Condition],
    new: Condition,
) -> tuple[Condition, ...]:
    """The conditions with `new` in place; its transition time is kept while its status stays."""
    by_type = {condition.type: condition for condition in conditions}
    old = by_type.get(new.type)
    if old is not None and old.status == new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    by_type[new.type] = new
    return tuple(by_type[name] for name in TYPES if name in by_type)


def find(conditions: Iterable[Condition], name: ConditionType) -> Condition | None:
    """The condition of that type, if it was ever set."""
    return next((condition for condition in conditions if condition.type == name), None)


def is_true(conditions: Iterable[Condition], name: ConditionType) -> bool:
    """Whether the condition stands at True."""
    condition = find(conditions, name)
    return condition is not None and condition.status == "True"


PHASE_OF_RUNNING: Mapping[str, JobPhase] = {
    Reason.DRIVER_RUNNING: "Running",
    Reason.CLUSTER_UNREACHABLE: "Running",
    Reason.STOPPING: "Running",
    Reason.STARTING: "Starting",
    Reason.STOPPING_BEFORE_START: "Starting",
    Reason.RESTARTING: "Restarting",
}
"""The phase of a job that is neither finished, suspended nor queued, by why Running is as it is."""


def phase_of(conditions: Iterable[Condition]) -> JobPhase:
    """One word for people, derived from the conditions and from nothing else."""
    listed = tuple(conditions)
    finals: tuple[tuple[ConditionType, JobPhase], ...] = (
        ("Failed", "Failed"),
        ("Complete", "Succeeded"),
        ("Suspended", "Suspended"),
        ("Queued", "Queued"),
    )
    for name, phase in finals:
        if is_true(listed, name):
            return phase
    running = find(listed, "Running")
    return PHASE_OF_RUNNING.get(running.reason, "Pending") if running else "Pending"
