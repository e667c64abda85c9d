"""`spec.lifecycle`: retries, deadlines, clean-up."""

from typing import Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import NonNegativeInt, PositiveInt, SpecModel

CleanupPolicy = Literal["DeleteCluster", "DeleteWorkers"]


class CleanupSpec(SpecModel):
    """What stays after a job has finished. No choice keeps a device."""

    on_success: CleanupPolicy = Field(
        "DeleteCluster",
        description="DeleteCluster deletes the RayCluster; DeleteWorkers keeps the head pod, with "
        "Ray's dashboard and logs, except where only its deletion ended the driver.",
    )
    on_failure: CleanupPolicy = Field("DeleteCluster", description="The same after a failure.")


class LifecycleSpec(SpecModel):
    """How often a run is tried, how long it may take, and what stays afterwards."""

    backoff_limit: NonNegativeInt = Field(
        3, description="Retries before the job fails; preemptions and suspensions do not count."
    )
    backoff_seconds: NonNegativeInt = Field(
        10, description="Wait before the first retry; doubled each time, at most 600."
    )
    startup_timeout_seconds: PositiveInt = Field(
        1800,
        description="Longest time until the driver answers, counted from the creation of the pods; "
        "time in a queue does not count.",
    )
    progress_deadline_seconds: PositiveInt = Field(
        3600, description="Longest time without a step; the attempt then counts as stalled."
    )
    active_deadline_seconds: PositiveInt | None = Field(
        None, description="Longest time the job may hold pods, over all attempts."
    )
    grace_period_seconds: PositiveInt = Field(
        60, description="Time to commit a checkpoint after a request to stop."
    )
    ttl_seconds_after_finished: NonNegativeInt | None = Field(
        None, description="Time after which a finished job is deleted. Default: never."
    )
    cleanup: CleanupSpec = Field(CleanupSpec(), description="What stays after a job has finished.")
