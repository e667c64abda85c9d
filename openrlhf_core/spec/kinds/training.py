"""`TrainingSpec`: what is trained, and on how many devices. The root of `RLHFJob.spec.training`."""

from typing import Annotated

from pydantic import Field

from openrlhf_core.spec.kinds.base import PositiveInt, SpecModel
from openrlhf_core.spec.kinds.data import DataSpec
from openrlhf_core.spec.kinds.learner import LearnerSpec, OptimizerSpec
from openrlhf_core.spec.kinds.model import ModelsSpec
from openrlhf_core.spec.kinds.placement import PlacementSpec, WeightSyncSpec
from openrlhf_core.spec.kinds.recipes import RecipeName
from openrlhf_core.spec.kinds.records import CheckpointSpec, LoggingSpec
from openrlhf_core.spec.kinds.reward import RewardSpec
from openrlhf_core.spec.kinds.rl import RLSpec
from openrlhf_core.spec.kinds.rollout import RolloutSpec


class TrainingSpec(SpecModel):
    """What is trained, and on how many devices."""

    recipe: RecipeName = Field(description="How the model is trained.")
    model: ModelsSpec = Field(description="Which model fills which role.")
    reward: RewardSpec = Field(description="What scores a completion.")
    data: DataSpec = Field(description="What is trained on.")
    rl: RLSpec = Field(description="The algorithm of recipe RL.")
    rollout: RolloutSpec = Field(RolloutSpec(), description="The generation engines.")
    learner: LearnerSpec = Field(LearnerSpec(), description="The DeepSpeed learners.")
    optimizer: OptimizerSpec = Field(OptimizerSpec(), description="AdamW and its schedule.")
    placement: PlacementSpec = Field(PlacementSpec(), description="Roles to worker groups.")
    weight_sync: WeightSyncSpec = Field(
        WeightSyncSpec(), description="How new weights reach the engines."
    )
    checkpoint: CheckpointSpec = Field(CheckpointSpec(), description="When progress is saved.")
    logging: LoggingSpec = Field(LoggingSpec(), description="Where metrics go.")
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = Field(
        42, description="Seed of everything that is drawn."
    )
    max_steps: PositiveInt | None = Field(
        None, description="Steps to train. Exactly one of maxSteps and epochs."
    )
    epochs: PositiveInt | None = Field(
        None, description="Passes over the training data. Exactly one of maxSteps and epochs."
    )
