"""What a policy answers: acts to perform, changes of the status, and when to look again."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Literal

from openrlhf_core.spec.kinds.status import (
    AttemptStatus,
    FailureStatus,
    RayClusterStatus,
    RLHFJobStatus,
)
from rlhf_operator.conditions import Reason


@dataclass(frozen=True)
class EnsureFinalizer:
    """Our finalizer stands on the job."""


@dataclass(frozen=True)
class RemoveFinalizer:
    """Our finalizer is gone: the API server may forget the job."""


@dataclass(frozen=True)
class DeleteJob:
    """The job is deleted, as its time to live asks."""


@dataclass(frozen=True)
class PrepareChildren:
    """Snapshot, output claim and network policy are there."""


@dataclass(frozen=True)
class RemovePolicy:
    """The network policy is gone; no pods are left that it applies to."""


@dataclass(frozen=True)
class CreateCluster:
    """The RayCluster of this name is there."""

    name: str


@dataclass(frozen=True)
class DeleteCluster:
    """The RayCluster of this name and uid is being deleted."""

    name: str
    uid: str


@dataclass(frozen=True)
class DeleteWorkers:
    """The RayCluster keeps its head and no worker."""

    name: str


@dataclass(frozen=True)
class SubmitDriver:
    """The attempt's Ray job is known to its head."""

    cluster: str
    attempt: int
    submission_id: str


@dataclass(frozen=True)
class StopDriver:
    """The attempt's Ray job was asked to stop."""

    cluster: str
    submission_id: str


Act = (
    EnsureFinalizer
    | RemoveFinalizer
    | DeleteJob
    | PrepareChildren
    | RemovePolicy
    | CreateCluster
    | DeleteCluster
    | DeleteWorkers
    | SubmitDriver
    | StopDriver
)
"""Each may be performed twice with the effect of once."""


class Activity(StrEnum):
    """What the job does after this step; the conditions follow from it."""

    REJECTED = "Rejected"
    SUSPENDED = "Suspended"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    RESTARTING = "Restarting"
    FINISHED = "Finished"
    DELETING = "Deleting"


@dataclass(frozen=True)
class Verdict:
    """How the job ended, for good."""

    condition: Literal["Complete", "Failed"]
    reason: Reason | str
    message: str


@dataclass(frozen=True)
class StatusChanges:
    """Fields of the status that a step sets; None leaves a field as it is."""

    attempt: AttemptStatus | None = None
    ray_cluster: RayClusterStatus | None = None
    start_time: str | None = None
    completion_time: str | None = None
    active_seconds: int | None = None
    restarts: int | None = None
    preemptions: int | None = None
    failures: tuple[FailureStatus, ...] | None = None

    def applied_to(self, status: RLHFJobStatus) -> RLHFJobStatus:
        """The status with these changes."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return status.changed(
            **{name: value for name, value in values.items() if value is not None}
        )


@dataclass(frozen=True)
class Step:
    """One policy's answer. The changes are written after the acts were performed."""

    activity: Activity
    acts: tuple[Act, ...] = ()
    changes: StatusChanges = StatusChanges()
    verdict: Verdict | None = None
    note: str = ""
    """Why the activity is what it is, for people; kept while the activity lasts."""
    failure: str = ""
    """Why an act of it could not be done."""
    requeue_seconds: float | None = None
    """Look again after so long; None waits for an event or the resync."""
