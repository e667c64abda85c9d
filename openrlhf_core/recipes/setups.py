"""What learners and frozen models of any recipe are made with."""

from typing import Any

from openrlhf_core.engines.learner_settings import Hardware, ModelSettings, TrainingSettings
from openrlhf_core.objectives.objective import Objective
from openrlhf_core.objectives.outputs import ModelOutput
from openrlhf_core.orchestration.learners import LearnerSetup
from openrlhf_core.orchestration.scoring import ScorerSetup
from openrlhf_core.recipes.recipe import RunInputs


def learner_setup(
    inputs: RunInputs,
    objective: Objective[Any, Any],
    *,
    pad_id: int,
    num_optimizer_steps: int,
) -> LearnerSetup:
    """Returns what every rank of the policy's learner is made with.

    `num_optimizer_steps` are those of the whole run, for the learning rate's schedule.
    """
    training, learner = inputs.config.training, inputs.resolved.learners["Policy"]
    return LearnerSetup(
        locator=inputs.locator,
        source=training.model.policy.source,
        model=model_settings(inputs, pad_id),
        training=TrainingSettings(
            area="policy",
            optimizer=training.optimizer,
            total_steps=num_optimizer_steps,
            zero_stage=learner.zero_stage,
            gradient_checkpointing=learner.gradient_checkpointing,
            seed=training.seed,
        ),
        objective=objective,
        hardware=hardware(inputs),
    )


def reference_setup(inputs: RunInputs, output: ModelOutput, *, pad_id: int) -> ScorerSetup:
    """Returns what every reference rank is made with: the policy's model unless one is named."""
    models = inputs.config.training.model
    named = None if models.reference is None else models.reference.source
    return ScorerSetup(
        locator=inputs.locator,
        source=named or models.policy.source,
        model=model_settings(inputs, pad_id),
        output=output,
        hardware=hardware(inputs),
    )


def model_settings(inputs: RunInputs, pad_id: int) -> ModelSettings:
    """Returns how learners and frozen models hold the policy's kind of model."""
    training = inputs.config.training
    policy = training.model.policy
    return ModelSettings(
        dtype=inputs.resolved.learners["Policy"].dtype,
        pad_id=pad_id,
        packing=training.data.packing,
        attention=policy.attention,
        trust_remote_code=policy.trust_remote_code,
    )


def hardware(inputs: RunInputs) -> Hardware:
    """Returns what each process computes on."""
    return Hardware(inputs.config.device.kind, inputs.config.threads_per_process)
