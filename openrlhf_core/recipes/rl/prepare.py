"""Prepares recipe RL: reads tokenizer and data and fixes every number, before a device is taken."""

from openrlhf_core.data.prompt_datasets import load_prompts
from openrlhf_core.data.prompts import PromptStream
from openrlhf_core.recipes.crew import batch_limits
from openrlhf_core.recipes.preparation import policy_tokenizer, total_steps
from openrlhf_core.recipes.recipe import RunInputs
from openrlhf_core.recipes.rl.session import PreparedRL
from openrlhf_core.recipes.rl.step import StepSettings
from openrlhf_core.spec.kinds.recipes import present
from openrlhf_core.spec.planning.resolve import ResolvedTraining


def prepare(inputs: RunInputs) -> PreparedRL:
    """Reads tokenizer and prompts, finds the reward code, and fixes every number."""
    training, locator = inputs.config.training, inputs.locator
    tokenizer = policy_tokenizer(inputs)
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
        total_steps=total_steps(training, epoch_size, rl.rollout_batch_size, "rl.rolloutBatchSize"),
        seed=training.seed,
        max_tokens=sampling.max_tokens,
        train_batch_size=resolved.learners["Policy"].train_batch_size,
        num_data_shards=resolved.plan.num_data_shards("Policy"),
        limits=batch_limits(resolved),
        gap_dtype=None if is_cut else rollout.dtype,
    )
