"""`Progress`: what the driver serves at /progress and the operator copies into the status."""

from typing import Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import SpecModel

LAST_PROGRESS = "rlhf-progress: "
"""Begins the line of the log in which a driver on a cluster prints its last Progress, as JSON, when
it ends: its server is gone by then, and the operator reads the log."""

Phase = Literal[
    "starting", "rollout", "reward", "logprob", "train", "weight_sync", "checkpoint", "finished"
]


class CheckpointRecord(SpecModel):
    """A committed checkpoint."""

    step: int = Field(description="Step after which it was committed.")
    path: str = Field(description="Directory, relative to the output directory.")
    time: float = Field(description="When it was committed, Unix seconds.")


class Progress(SpecModel):
    """The state of a run. Times are Unix seconds."""

    attempt: int = Field(description="Number of this attempt, from 1.")
    phase: Phase = Field(description="What the driver is doing.")
    step: int = Field(description="Last finished step; 0 before the first.")
    total_steps: int = Field(description="Step after which the run is done.")
    resumed_from_step: int | None = Field(None, description="Step of the checkpoint resumed from.")
    samples_per_second: float | None = Field(None, description="Completions a second, last step.")
    tokens_per_second: float | None = Field(
        None, description="Tokens generated a second, last step."
    )
    estimated_remaining_seconds: float | None = Field(
        None, description="Remaining time at the recent pace."
    )
    last_update_time: float = Field(description="When a step or phase last changed.")
    metrics: dict[str, float] = Field(description="Latest value of each metric.")
    checkpoint: CheckpointRecord | None = Field(None, description="Newest committed checkpoint.")
    checkpoint_count: int = Field(0, description="Committed checkpoints on the volume.")
    versions: dict[str, str] = Field(description="Versions of the libraries that train.")
