"""`training.learner` and `training.optimizer`: how weights are updated."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import (
    Fraction,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SpecModel,
)
from openrlhf_core.spec.kinds.formats import DType
from openrlhf_core.spec.kinds.rule import Rule, Violation, at


class LearnerSpec(SpecModel):
    """The DeepSpeed learners."""

    train_batch_size: PositiveInt | None = Field(
        None,
        description="Completions of an optimizer step, over all ranks. It must divide "
        "rolloutBatchSize x groupSize. Default: all of them, one optimizer step a rollout.",
    )
    micro_batch_size: PositiveInt | None = Field(
        None,
        description="Completions in a forward pass of a rank. Excludes maxTokensPerMicroBatch.",
    )
    max_tokens_per_micro_batch: PositiveInt | None = Field(
        None,
        description="Tokens, including padding, in a forward pass of a rank; a longer sample has a "
        "pass of its own. Default: 16384, unless microBatchSize is set.",
    )
    zero_stage: Annotated[int, Field(ge=0, le=3)] = Field(
        2, description="ZeRO stage (arXiv:1910.02054): what is split over the ranks."
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass to save memory."
    )
    dtype: DType = Field(
        "BFloat16", description="Number format of the weights in forward and backward passes."
    )


class OptimizerSpec(SpecModel):
    """AdamW and its schedule."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = Field(
        1e-6, description="Highest learning rate."
    )
    schedule: Literal["Constant", "Cosine", "Linear"] = Field(
        "Constant",
        description="Schedule of the learning rate after warm-up; Cosine and Linear end "
        "at minimumRatio of it.",
    )
    warmup_ratio: Fraction = Field(
        0.0, description="Share of the optimizer steps over which the learning rate rises from 0."
    )
    minimum_ratio: Fraction = Field(
        0.1, description="Last learning rate, as a share of the highest."
    )
    weight_decay: NonNegativeFloat = Field(0.0, description="Decoupled weight decay.")
    betas: Annotated[
        tuple[Annotated[float, Field(ge=0, lt=1)], ...], Field(min_length=2, max_length=2)
    ] = Field(
        (0.9, 0.95),
        description="Decay of the two moment estimates.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    gradient_clip: PositiveFloat = Field(
        1.0, description="Gradients with a larger norm are scaled down to it."
    )


def _one_way_to_fill(learner: LearnerSpec) -> Iterator[Violation]:
    if learner.micro_batch_size is not None and learner.max_tokens_per_micro_batch is not None:
        yield Violation(
            at("maxTokensPerMicroBatch"), "microBatchSize is set too", "keep one of the two"
        )


RULES: tuple[Rule, ...] = (
    Rule(
        on=LearnerSpec,
        claim="at most one of microBatchSize and maxTokensPerMicroBatch",
        reads=("microBatchSize", "maxTokensPerMicroBatch"),
        check=_one_way_to_fill,
        cel="!(has(self.microBatchSize) && has(self.maxTokensPerMicroBatch))",
    ),
)
