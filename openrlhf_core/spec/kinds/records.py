"""`training.checkpoint` and `training.logging`: which files and metrics a run writes."""

from typing import Annotated, Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import NonNegativeInt, ShortText, SpecModel


class CheckpointSpec(SpecModel):
    """When a checkpoint is committed and how many are kept."""

    every_steps: NonNegativeInt = Field(
        50, description="Steps between checkpoints; 0 commits only at the end and when stopped."
    )
    keep: Annotated[int, Field(ge=1, le=1000)] = Field(
        2, description="Newest checkpoints kept; older ones are deleted after the next commit."
    )
    resume: Literal["Auto", "Never"] = Field(
        "Auto",
        description="Auto continues from the newest checkpoint that verifies; Never starts "
        "from step 0 and refuses an output directory that holds a run.",
    )


class WandbSpec(SpecModel):
    """Weights & Biases; the key comes from the environment variable WANDB_API_KEY."""

    project: ShortText = Field(description="Project that the run appears in.")
    entity: ShortText | None = Field(None, description="User or team.")
    group: ShortText | None = Field(None, description="Group of runs.")
    run_name: ShortText | None = Field(None, description="Name of the run. Default: the job's.")


class LoggingSpec(SpecModel):
    """Where metrics go besides metrics.jsonl."""

    tensorboard: bool = Field(
        False, description="Write TensorBoard events to <output>/tensorboard."
    )
    wandb: WandbSpec | None = Field(None, description="Send metrics to Weights & Biases.")
