"""What every recipe prepares alike: the policy's tokenizer and the number of steps."""

from transformers import PreTrainedTokenizerBase

from openrlhf_core.data.tokenizer import load_tokenizer, read_chat_template
from openrlhf_core.recipes.recipe import RunInputs
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.training import TrainingSpec


def policy_tokenizer(inputs: RunInputs) -> PreTrainedTokenizerBase:
    """Returns the tokenizer of the policy, with the chat template that the manifest gives it."""
    policy = inputs.config.training.model.policy
    directory = inputs.locator.locate(policy.source, "model", policy.trust_remote_code)
    template = read_chat_template(policy.chat_template, inputs.locator)
    return load_tokenizer(directory, template, policy.trust_remote_code)


def total_steps(training: TrainingSpec, epoch_size: int, per_step: int, field: str) -> int:
    """Returns maxSteps, or the whole steps in `epochs` passes over the data.

    A step takes `per_step` of the `epoch_size` samples of a pass; `field` of `training` says so.
    """
    if training.max_steps is not None:
        return training.max_steps
    steps = (training.epochs or 1) * epoch_size // per_step
    if steps == 0:
        raise ConfigurationError(
            f"training.epochs: {training.epochs} pass(es) over {epoch_size} samples do not fill "
            f"one step of {field} {per_step}; lower {field} or raise epochs"
        )
    return steps
