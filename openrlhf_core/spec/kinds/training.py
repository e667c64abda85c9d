"""`TrainingSpec`: what is trained, and on how many devices. The root of `RLHFJob.spec.training`."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import Field

from openrlhf_core.spec.kinds.base import PositiveInt, SpecModel
from openrlhf_core.spec.kinds.data import DataSpec
from openrlhf_core.spec.kinds.dpo import DPOSpec
from openrlhf_core.spec.kinds.learner import LearnerSpec, OptimizerSpec
from openrlhf_core.spec.kinds.model import ModelsSpec
from openrlhf_core.spec.kinds.placement import PlacementSpec, WeightSyncSpec
from openrlhf_core.spec.kinds.recipes import RECIPES, Part, RecipeName
from openrlhf_core.spec.kinds.records import CheckpointSpec, LoggingSpec
from openrlhf_core.spec.kinds.reward import RewardSpec
from openrlhf_core.spec.kinds.rl import RLSpec
from openrlhf_core.spec.kinds.rollout import RolloutSpec
from openrlhf_core.spec.kinds.sft import SFTSpec

T = TypeVar("T")


def _default(part: Part, spec_class: Callable[[], T]) -> Callable[[dict[str, Any]], T | None]:
    """The default of a part: its class's defaults where the recipe reads it, else None."""

    def make(fields: dict[str, Any]) -> T | None:
        recipe = RECIPES.get(fields.get("recipe", ""))
        return spec_class() if recipe is not None and part in recipe.defaults else None

    return make


class TrainingSpec(SpecModel):
    """What is trained, and on how many devices."""

    recipe: RecipeName = Field(description="How the model is trained.")
    model: ModelsSpec = Field(description="Which model fills which role.")
    reward: RewardSpec | None = Field(
        None, description="What scores a completion; for recipes that generate completions."
    )
    data: DataSpec = Field(description="The training data.")
    rl: RLSpec | None = Field(None, description="The algorithm of recipe RL.")
    sft: SFTSpec | None = Field(
        default_factory=_default("sft", SFTSpec),
        description="Which tokens recipe SFT learns. Default: the defaults of its fields.",
    )
    dpo: DPOSpec | None = Field(
        default_factory=_default("dpo", DPOSpec),
        description="The loss of recipe DPO. Default: the defaults of its fields.",
    )
    rollout: RolloutSpec | None = Field(
        default_factory=_default("rollout", RolloutSpec),
        description="The generation engines; for recipes that generate completions. "
        "Default: the defaults of its fields.",
    )
    learner: LearnerSpec = Field(LearnerSpec(), description="The DeepSpeed learners.")
    optimizer: OptimizerSpec = Field(OptimizerSpec(), description="AdamW and its schedule.")
    placement: PlacementSpec = Field(PlacementSpec(), description="Roles to worker groups.")
    weight_sync: WeightSyncSpec | None = Field(
        default_factory=_default("weightSync", WeightSyncSpec),
        description="How new weights reach the engines. Default: the defaults of its fields.",
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
