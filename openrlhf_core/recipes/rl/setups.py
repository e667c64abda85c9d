"""What learners, reference and engines of recipe RL are made with."""

from openrlhf_core.engines.vllm.settings import EngineSettings
from openrlhf_core.engines.weight_sync.backend import SyncBackend, choose_backend
from openrlhf_core.objectives.outputs import TokenLogprobs
from openrlhf_core.objectives.policy import PolicyObjective
from openrlhf_core.orchestration.learners import LearnerSetup
from openrlhf_core.orchestration.rollouts import RolloutSetup
from openrlhf_core.recipes.crew import Setups
from openrlhf_core.recipes.recipe import RunInputs
from openrlhf_core.recipes.rl.step import StepSettings
from openrlhf_core.recipes.setups import learner_setup, reference_setup
from openrlhf_core.spec.kinds.recipes import present
from openrlhf_core.spec.planning.plan import PlannedEngine


def make_setups(
    inputs: RunInputs, settings: StepSettings, pad_id: int, longest_prompt: int
) -> Setups:
    """Returns the setups of every role of the plan."""
    roles = {needed.role for needed in inputs.resolved.roles}
    return Setups(
        learners={"Policy": policy_setup(inputs, settings, pad_id)},
        scorers={"Reference": reference_setup(inputs, token_logprobs(inputs), pad_id=pad_id)}
        if "Reference" in roles
        else {},
        engines=[
            rollout_setup(inputs, engine, longest_prompt + settings.max_tokens)
            for engine in inputs.resolved.plan.engines
        ],
    )


def policy_setup(inputs: RunInputs, settings: StepSettings, pad_id: int) -> LearnerSetup:
    """Returns what every rank of the policy's learner is made with."""
    objective = PolicyObjective(
        policy_loss=settings.rl.policy_loss,
        kl=settings.rl.kl,
        entropy_coefficient=settings.rl.entropy_coefficient,
        output=token_logprobs(inputs),
    )
    return learner_setup(
        inputs,
        objective,
        pad_id=pad_id,
        num_optimizer_steps=num_optimizer_steps(settings),
    )


def num_optimizer_steps(settings: StepSettings) -> int:
    """Returns the optimizer steps of the whole run, for the learning rate's schedule."""
    per_epoch = -(-settings.rl.num_samples // settings.train_batch_size)
    return settings.total_steps * per_epoch * settings.rl.epochs_per_rollout


def rollout_setup(
    inputs: RunInputs, engine: PlannedEngine, max_sequence_length: int
) -> RolloutSetup:
    """Returns what an engine is made with."""
    training, groups = inputs.config.training, inputs.resolved.plan.groups
    return RolloutSetup(
        locator=inputs.locator,
        source=training.model.policy.source,
        engine=EngineSettings(
            spec=present(training.rollout),
            max_sequence_length=max_sequence_length,
            dtype=present(inputs.resolved.rollout).dtype,
            seed=training.seed,
            device_kind=inputs.config.device.kind,
            sync_backend=sync_backend(inputs),
            can_sleep=any(group.takes_turns and group.name == engine.group for group in groups),
            trust_remote_code=training.model.policy.trust_remote_code,
        ),
    )


def token_logprobs(inputs: RunInputs) -> TokenLogprobs:
    """Returns the log-probs that learners compute: at the temperature of the rollouts."""
    return TokenLogprobs(present(inputs.resolved.rollout).sampling.temperature)


def sync_backend(inputs: RunInputs) -> SyncBackend:
    """Returns the transport of the weights."""
    wanted = present(inputs.config.training.weight_sync).backend
    return choose_backend(wanted, inputs.config.device.kind, inputs.resolved.plan.sharing)
