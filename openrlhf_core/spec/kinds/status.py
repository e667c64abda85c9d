"""`RLHFJob.status`: what the operator observed. Times are RFC 3339, metric values are strings."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from openrlhf_core.spec.kinds.base import NonNegativeInt, ShortText, SpecModel, without_nulls

JobPhase = Literal[
    "Pending",
    "Queued",
    "Starting",
    "Running",
    "Restarting",
    "Suspended",
    "Succeeded",
    "Failed",
]
ConditionType = Literal[
    "Validated",
    "Queued",
    "ClusterReady",
    "Running",
    "Stalled",
    "Suspended",
    "CheckpointAvailable",
    "Degraded",
    "Complete",
    "Failed",
]
Time = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
Message = Annotated[str, Field(max_length=4096)]
Reason = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9_])?$")]
Number = Annotated[str, Field(max_length=32)]
"""A measured number as a string: the API conventions advise against floats."""
Path = Annotated[str, Field(max_length=1024)]
Texts = Annotated[dict[ShortText, ShortText], Field(max_length=32)]


class StatusModel(SpecModel):
    """A piece of a status: fields that another version wrote are ignored when read."""

    @classmethod
    def from_manifest(cls, data: Mapping[str, Any]) -> Self:
        """The status in plain data. Raises pydantic.ValidationError on wrong values."""
        text = json.dumps(without_nulls(data))
        return cls.model_validate_json(text, by_alias=True, by_name=False, extra="ignore")

    def changed(self, **fields: Any) -> Self:
        """A validated copy with other values of some fields. Raises pydantic.ValidationError."""
        return type(self)(**{**dict(self), **fields})


class Condition(StatusModel):
    """A condition of the job, in the form of the Kubernetes API conventions."""

    type: ConditionType = Field(description="Type of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: int | None = Field(
        None, ge=0, le=1 << 62, description="Generation of the spec that was observed."
    )
    last_transition_time: Time = Field(description="When status last changed.")
    reason: Reason = Field(description="Why, in one CamelCase word.")
    message: Message = Field("", description="Explanation for people.")


class AttemptStatus(StatusModel):
    """The current attempt, or the last one."""

    number: NonNegativeInt = Field(description="Number of the attempt, from 1.")
    submission_id: ShortText | None = Field(None, description="Id of the Ray job.")
    ray_cluster_name: ShortText | None = Field(None, description="RayCluster it runs on.")
    start_time: Time | None = Field(None, description="When it began.")
    resumed_from_step: NonNegativeInt | None = Field(
        None, description="Step of the checkpoint it resumed from."
    )
    stop_reason: Reason | None = Field(None, description="Why the operator asked it to stop.")
    stop_time: Time | None = Field(None, description="When the operator asked it to stop.")
    end_time: Time | None = Field(None, description="When it ended; absent while it lives.")


class FailureStatus(StatusModel):
    """How an attempt failed."""

    time: Time = Field(description="When.")
    reason: Reason = Field(description="Why, in one CamelCase word.")
    exit_code: Annotated[int, Field(ge=-255, le=255)] | None = Field(
        None, description="Exit code of the driver, if one was seen."
    )
    message: Annotated[str, Field(max_length=1024)] = Field(
        "", description="Explanation for people."
    )


class RayClusterStatus(StatusModel):
    """The RayCluster of the attempt."""

    name: ShortText = Field(description="Name of the RayCluster.")
    uid: ShortText | None = Field(None, description="Its uid.")
    head_pod_name: ShortText | None = Field(None, description="Pod of the head.")
    head_pod_uid: ShortText | None = Field(
        None, description="Uid of the head pod the driver was submitted to; another is a loss."
    )
    head_service_name: ShortText | None = Field(None, description="Service of the head.")
    ready_workers: NonNegativeInt = Field(0, description="Worker pods that are ready.")
    desired_workers: NonNegativeInt = Field(0, description="Worker pods that are wanted.")


class GroupStatus(StatusModel):
    """Pods of one worker group."""

    name: ShortText = Field(description="Name of the group.")
    desired: NonNegativeInt = Field(description="Pods wanted.")
    ready: NonNegativeInt = Field(description="Pods ready.")
    message: Annotated[str, Field(max_length=1024)] = Field("", description="What is wrong.")


class ProgressStatus(StatusModel):
    """How far the run is."""

    step: NonNegativeInt = Field(description="Last finished step.")
    total_steps: NonNegativeInt = Field(description="Step after which the run is done.")
    percentage: Annotated[int, Field(ge=0, le=100)] = Field(description="Share of steps done.")
    samples_per_second: Number | None = Field(None, description="Completions a second.")
    tokens_per_second: Number | None = Field(None, description="Tokens made a second.")
    estimated_remaining_seconds: NonNegativeInt | None = Field(None, description="Remaining time.")
    last_update_time: Time | None = Field(None, description="When a step or phase last changed.")


class MetricStatus(StatusModel):
    """Latest value of one metric."""

    name: ShortText = Field(description="Name from the catalogue, as reward/mean.")
    value: Number = Field(description="Latest value.")


class CheckpointStatus(StatusModel):
    """A committed checkpoint."""

    step: NonNegativeInt = Field(description="Step after which it was committed.")
    path: Path = Field(description="Directory, relative to the output directory.")
    time: Time = Field(description="When it was committed.")


class CheckpointsStatus(StatusModel):
    """The committed checkpoints."""

    latest: CheckpointStatus | None = Field(None, description="The newest.")
    count: NonNegativeInt = Field(0, description="How many are on the volume.")


class OutputStatus(StatusModel):
    """Where the results are."""

    claim_name: ShortText = Field(description="PersistentVolumeClaim.")
    path: Path = Field(description="Directory in the claim.")


class ResolvedStatus(StatusModel):
    """What the job was resolved to at its first reconcile."""

    versions: Texts = Field({}, description="Versions of the libraries that train.")
    images: Annotated[dict[ShortText, Path], Field(max_length=32)] = Field(
        {}, description="Images by digest, by worker group."
    )
    seed: NonNegativeInt | None = Field(None, description="Seed of the run.")
    plan_hash: ShortText | None = Field(None, description="Hash of the placement plan.")


class RLHFJobStatus(StatusModel):
    """What the operator observed."""

    observed_generation: int | None = Field(
        None, ge=0, le=1 << 62, description="Generation of the spec that this status is about."
    )
    phase: JobPhase | None = Field(None, description="Summary of the conditions in one word.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = Field(
        (),
        description="Conditions of the job.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    start_time: Time | None = Field(None, description="When the first attempt began.")
    completion_time: Time | None = Field(None, description="When the job finished.")
    active_seconds: NonNegativeInt = Field(
        0, description="Time that ended attempts held pods, for activeDeadlineSeconds."
    )
    attempt: AttemptStatus | None = Field(None, description="The current attempt, or the last.")
    restarts: NonNegativeInt = Field(0, description="Retries that count against backoffLimit.")
    preemptions: NonNegativeInt = Field(0, description="Times the pods were taken away.")
    failures: Annotated[tuple[FailureStatus, ...], Field(max_length=5)] = Field(
        (),
        description="The last failures.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    ray_cluster: RayClusterStatus | None = Field(None, description="The RayCluster.")
    groups: Annotated[tuple[GroupStatus, ...], Field(max_length=17)] = Field(
        (),
        description="Pods by worker group.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    progress: ProgressStatus | None = Field(None, description="How far the run is.")
    metrics: Annotated[tuple[MetricStatus, ...], Field(max_length=32)] = Field(
        (),
        description="Latest values.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    checkpoints: CheckpointsStatus | None = Field(None, description="The committed checkpoints.")
    output: OutputStatus | None = Field(None, description="Where the results are.")
    devices: NonNegativeInt | None = Field(None, description="Devices of the plan.")
    resolved: ResolvedStatus | None = Field(None, description="What the job was resolved to.")
