"""What a policy answers: acts to perform, changes of the status, and when to look again."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

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
    """The network policy is gone: no pods are left that it could guard."""


@dataclass(frozen=True)
class CreateCluster:
    """The RayCluster of this name is there."""

    name: str


@dataclass(frozen=True)
class DeleteCluster:
    """The very RayCluster of this name and uid is being deleted."""

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
    """What the job is about, after this step; conditions are worded from it."""

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
class Step:
    """One policy's answer. `changes` are fields of RLHFJobStatus, written after the acts."""

    activity: Activity
    acts: tuple[Act, ...] = ()
    changes: dict[str, Any] = field(default_factory=dict)
    verdict: Verdict | None = None
    note: str = ""
    """Why the activity is what it is, for people; kept while the activity lasts."""
    failure: str = ""
    """Why an act of it could not be done."""
    requeue_seconds: float | None = None
    """Look again after so long; None waits for an event or the resync."""
