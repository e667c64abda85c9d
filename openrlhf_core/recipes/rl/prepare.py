"""Prepares recipe RL: reads tokenizer and data and fixes every number, before a device is taken."""

from openrlhf_core.data.prompt_datasets import load_prompts
from openrlhf_core.data.prompts import PromptStream
from openrlhf_core.data.tokenizer import load_tokenizer, read_chat_template
from openrlhf_core.recipes.crew import batch_limits
from openrlhf_core.recipes.recipe import RunInputs
from openrlhf_core.recipes.rl.session import PreparedRL
from openrlhf_core.recipes.rl.step import StepSettings
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.recipes import present
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.resolve import ResolvedTraining


def prepare(inputs: RunInputs) -> PreparedRL:
    """Reads what mistakes are found in, the tokenizer and the data, and fixes every number."""
    training, locator = inputs.config.training, inputs.locator
    policy = training.model.policy
    directory = locator.locate(policy.source, "model", policy.trust_remote_code)
    template = read_chat_template(policy.chat_template, locator)
    tokenizer = load_tokenizer(directory, template, policy.trust_remote_code)
    for function in present(training.reward).functions:
        locator.locate_code(function.source)
    prompts = load_prompts(training.data, tokenizer, locator, inputs.on_progress, inputs.began)
    stream = PromptStream(prompts, training.seed)
    settings = make_step_settings(inputs.resolved, stream.epoch_size)
    return PreparedRL(inputs, settings, tokenizer, stream)


def make_step_settings(resolved: ResolvedTraining, epoch_size: int) -> StepSettings:
    """Fixes the numbers of every step."""
    training, rl, rollout = resolved.spec, present(resolved.rl), present(resolved.rollout)
    sampling = rollout.sampling
    is_cut = sampling.top_p < 1 or sampling.top_k > 0 or sampling.min_tokens > 1
    return StepSettings(
        rl=rl,
        total_steps=total_steps(training, rl.rollout_batch_size, epoch_size),
        seed=training.seed,
        max_tokens=sampling.max_tokens,
        train_batch_size=resolved.learners["Policy"].train_batch_size,
        num_data_shards=resolved.plan.num_data_shards("Policy"),
        limits=batch_limits(resolved),
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
