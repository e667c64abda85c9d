"""From a RunConfig to the plan and the workers of recipe RL.

`prepare` reads what mistakes are found in, the tokenizer and the data, before a device is taken;
`start_crew` takes the devices and `load_crew` fills them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from openrlhf_core.data.balance import BatchLimits
from openrlhf_core.data.prompt_datasets import OnProgress, load_prompts
from openrlhf_core.data.prompts import PromptStream
from openrlhf_core.data.tokenizer import load_tokenizer, query_texts, read_chat_template
from openrlhf_core.engines.learner_environment import learner_environment
from openrlhf_core.engines.learner_settings import (
    Hardware,
    ModelSettings,
    PolicyObjective,
    TrainingSettings,
)
from openrlhf_core.engines.vllm.environment import engine_environment
from openrlhf_core.engines.weight_sync.backend import SyncBackend, choose_backend
from openrlhf_core.orchestration.collect import Collect, make_collect
from openrlhf_core.orchestration.learners import LearnerGroup, LearnerSetup, start_learner_group
from openrlhf_core.orchestration.placement import reserve
from openrlhf_core.orchestration.references import (
    ReferenceGroup,
    ReferenceSetup,
    start_reference_group,
)
from openrlhf_core.orchestration.reward_workers import RewardPool
from openrlhf_core.orchestration.rollouts import RolloutGroup, RolloutSetup, start_rollout_group
from openrlhf_core.orchestration.turns import Member, Turns
from openrlhf_core.orchestration.weight_sync import WeightSync
from openrlhf_core.recipes.rl.step import RLPlan, RLWorkers
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.plan import Plan, PlannedEngine
from openrlhf_core.spec.planning.resolve import ResolvedTraining, resolve
from openrlhf_core.spec.run_config import RunConfig
from openrlhf_core.stop import StopFlag

REWARD_LOG = Path("logs") / "reward.log"


@dataclass(frozen=True)
class Prepared:
    """What is known before a device is taken."""

    plan: RLPlan
    placement: Plan
    locator: Locator
    tokenizer: PreTrainedTokenizerBase
    stream: PromptStream


def prepare(config: RunConfig, base: Path, on_progress: OnProgress) -> Prepared:
    """Reads tokenizer and data and fixes every number; ConfigurationError says what is wrong.

    Bare paths of sources are relative to `base`. `on_progress` hears how many prompts are read.
    """
    training = config.training
    policy = training.model.policy
    locator = Locator(base, None if config.cache is None else Path(config.cache))
    directory = locator.locate(policy.source, "model", policy.trust_remote_code)
    template = read_chat_template(policy.chat_template, locator)
    tokenizer = load_tokenizer(directory, template, policy.trust_remote_code)
    for function in training.reward.functions:
        locator.locate_code(function.source)
    prompts = load_prompts(training.data, tokenizer, locator, on_progress)
    stream = PromptStream(prompts, training.seed)
    resolved = resolve(training)
    return Prepared(
        plan=make_rl_plan(resolved, stream.epoch_size),
        placement=resolved.plan,
        locator=locator,
        tokenizer=tokenizer,
        stream=stream,
    )


def make_rl_plan(resolved: ResolvedTraining, epoch_size: int) -> RLPlan:
    """Fixes the numbers of every step."""
    training, learner = resolved.spec, resolved.learners["Policy"]
    settings, rollout = resolved.rl, resolved.rollout
    assert settings is not None and rollout is not None
    sampling = rollout.sampling
    is_cut = sampling.top_p < 1 or sampling.top_k > 0 or sampling.min_tokens > 1
    return RLPlan(
        settings=settings,
        total_steps=total_steps(training, settings.rollout_batch_size, epoch_size),
        seed=training.seed,
        max_tokens=sampling.max_tokens,
        train_batch_size=learner.train_batch_size,
        limits=BatchLimits(
            micro_batch_size=learner.micro_batch_size,
            max_tokens=learner.max_tokens_per_micro_batch,
            packing=training.data.packing,
        ),
        gap_dtype=None if is_cut else rollout.dtype,
    )


def total_steps(training: TrainingSpec, rollout_batch_size: int, epoch_size: int) -> int:
    """Returns maxSteps, or the whole steps in `epochs` passes over the data."""
    if training.max_steps is not None:
        return training.max_steps
    steps = (training.epochs or 1) * epoch_size // rollout_batch_size
    if steps == 0:
        raise ConfigurationError(
            f"training.epochs: {training.epochs} pass(es) over {epoch_size} prompts do not fill "
            f"one step of rl.rolloutBatchSize {rollout_batch_size}; lower rolloutBatchSize or "
            "raise epochs"
        )
    return steps


def num_optimizer_steps(plan: RLPlan) -> int:
    """Returns the optimizer steps of the whole run, for the learning rate's course."""
    per_epoch = -(-plan.settings.num_samples // plan.train_batch_size)
    return plan.total_steps * per_epoch * plan.settings.epochs_per_rollout


@dataclass(frozen=True)
class Crew:
    """The workers' processes, started and perhaps not loaded yet."""

    learners: LearnerGroup
    rollouts: RolloutGroup
    references: ReferenceGroup | None
    rewards: RewardPool
    weight_sync: WeightSync
    collect: Collect
    stop: StopFlag


def start_crew(config: RunConfig, prepared: Prepared, stop: StopFlag) -> Crew:
    """Reserves the plan's devices and starts a process for each rank and engine."""
    training, placement, limits = config.training, prepared.placement, prepared.plan.limits
    collect = make_collect(stop)
    log = Path(config.output) / REWARD_LOG
    rewards = RewardPool(training.reward.functions, prepared.locator, log_file=log)
    reservation = reserve(placement.groups, config.device, collect)
    hardware = Hardware(config.device.kind, config.threads_per_process)
    trainer_environment = learner_environment(hardware)
    learners = start_learner_group(
        placement.ranks["Policy"], reservation, trainer_environment, limits, collect
    )
    rollouts = start_rollout_group(
        placement.engines,
        reservation,
        engine_environment(config.device.kind, config.threads_per_process),
        collect,
    )
    references = start_reference_group(
        placement.ranks.get("Reference", ()), reservation, trainer_environment, limits, collect
    )
    timeout = training.weight_sync.timeout_seconds
    sync = WeightSync(learners, rollouts, collect, timeout)
    return Crew(learners, rollouts, references, rewards, sync, collect, stop)


def load_crew(
    config: RunConfig,
    prepared: Prepared,
    crew: Crew,
    on_learners: Callable[[], None],
) -> RLWorkers:
    """Loads every model and connects learners to engines; `on_learners` runs once learners are up.

    On CUDA roles that share devices load one after the other, as they will work. Learners are
    waited for even after a request to stop, so that there is something to commit.
    """
    turns = make_turns(config, prepared.placement, crew)
    setups = [rollout_setup(config, prepared, engine) for engine in prepared.placement.engines]
    first = crew.learners.build_calls(learner_setup(config, prepared))
    if crew.references is not None:
        first += crew.references.build_calls(reference_setup(config, prepared))
    if config.device.kind == "CUDA":
        crew.collect(first, finish=True)
        on_learners()
        crew.rewards.wait_ready(crew.stop.check)
        turns.begin("generate")
        crew.collect(crew.rollouts.build_calls(setups))
    else:
        engines = crew.rollouts.build_calls(setups)
        crew.collect(first, finish=True)
        on_learners()
        crew.rewards.wait_ready(crew.stop.check)
        crew.collect(engines)
    turns.begin("train")
    crew.weight_sync.connect(config.training.weight_sync.bucket_bytes)
    return RLWorkers(
        stream=prepared.stream,
        rollouts=crew.rollouts,
        rewards=crew.rewards,
        learners=crew.learners,
        references=crew.references,
        weight_sync=crew.weight_sync,
        turns=turns,
        queries=partial(query_texts, prepared.tokenizer),
        check_stop=crew.stop.check,
    )


def make_turns(config: RunConfig, placement: Plan, crew: Crew) -> Turns:
    """Returns the turns of the roles that share devices; on CPU there is no memory to give back."""
    sharing = {group.name for group in placement.groups if group.takes_turns}
    if config.device.kind == "CPU":
        sharing = set()
    members = []
    if placement.group_of("Policy") in sharing:
        members.append(Member(crew.learners, frozenset({"train", "sync"})))
    if any(engine.group in sharing for engine in placement.engines):
        members.append(Member(crew.rollouts, frozenset({"generate", "sync"})))
    if crew.references is not None and placement.group_of("Reference") in sharing:
        members.append(Member(crew.references, frozenset({"reference"})))
    return Turns(members)


def model_settings(config: RunConfig, prepared: Prepared) -> ModelSettings:
    """Returns how the policy is held by learners; the directory is each node's own to find."""
    training = config.training
    policy = training.model.policy
    return ModelSettings(
        directory=Path(),
        dtype=training.learner.dtype,
        temperature=training.rollout.sampling.temperature,
        pad_id=prepared.tokenizer.pad_token_id,
        packing=training.data.packing,
        attention=policy.attention,
        trust_remote_code=policy.trust_remote_code,
    )


def learner_setup(config: RunConfig, prepared: Prepared) -> LearnerSetup:
    """Returns what every learner rank is made with."""
    training, plan = config.training, prepared.plan
    return LearnerSetup(
        locator=prepared.locator,
        source=training.model.policy.source,
        model=model_settings(config, prepared),
        training=TrainingSettings(
            optimizer=training.optimizer,
            total_steps=num_optimizer_steps(plan),
            zero_stage=training.learner.zero_stage,
            gradient_checkpointing=training.learner.gradient_checkpointing,
            seed=training.seed,
        ),
        objective=PolicyObjective(
            policy_loss=plan.settings.policy_loss,
            kl=plan.settings.kl,
            entropy_coefficient=plan.settings.entropy_coefficient,
            max_completion_tokens=plan.max_tokens,
        ),
        hardware=Hardware(config.device.kind, config.threads_per_process),
        sync_backend=sync_backend(config, prepared.placement),
    )


def rollout_setup(config: RunConfig, prepared: Prepared, engine: PlannedEngine) -> RolloutSetup:
    """Returns what an engine is made with."""
    training, groups = config.training, prepared.placement.groups
    policy = training.model.policy
    return RolloutSetup(
        locator=prepared.locator,
        source=policy.source,
        spec=training.rollout,
        max_sequence_length=prepared.stream.longest_prompt + prepared.plan.max_tokens,
        dtype=training.rollout.dtype or training.learner.dtype,
        seed=training.seed,
        device_kind=config.device.kind,
        sync_backend=sync_backend(config, prepared.placement),
        can_sleep=any(group.takes_turns and group.name == engine.group for group in groups),
        trust_remote_code=policy.trust_remote_code,
    )


def reference_setup(config: RunConfig, prepared: Prepared) -> ReferenceSetup:
    """Returns what every reference rank is made with: the policy's model unless one is named."""
    models = config.training.model
    named = None if models.reference is None else models.reference.source
    return ReferenceSetup(
        locator=prepared.locator,
        source=named or models.policy.source,
        model=model_settings(config, prepared),
        hardware=Hardware(config.device.kind, config.threads_per_process),
    )


def sync_backend(config: RunConfig, placement: Plan) -> SyncBackend:
    """Returns the transport of the weights."""
    return choose_backend(
        config.training.weight_sync.backend, config.device.kind, placement.sharing
    )
