"""Recipe SFT: learns to write given responses, chats or whole texts."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from openrlhf_core.data.sample_stream import SampleDataset
from openrlhf_core.data.supervised.datasets import LoadSettings, load_samples
from openrlhf_core.data.supervised.renderer import TextRenderer
from openrlhf_core.data.supervised.sft import SFTMaker
from openrlhf_core.objectives.sft import SFTObjective, SFTSample
from openrlhf_core.recipes.recipe import Prepared, RunInputs
from openrlhf_core.recipes.supervised.session import (
    FrozenScores,
    SupervisedKind,
    prepare_supervised,
)
from openrlhf_core.spec.kinds.recipes import present


def prepare(inputs: RunInputs) -> Prepared:
    """Reads tokenizer and texts and fixes every number."""
    kind = SupervisedKind(load, to_samples, objective=lambda training: SFTObjective())
    return prepare_supervised(inputs, kind)


def load(
    inputs: RunInputs, tokenizer: PreTrainedTokenizerBase
) -> Sequence[SampleDataset[SFTSample]]:
    """Reads and tokenises the training datasets; the tokens that are trained on are marked."""
    training = inputs.config.training
    data, keys = training.data, training.data.keys
    renderer = TextRenderer(tokenizer, data.apply_chat_template, data.input_template, inputs.began)
    loss_on = present(training.sft).loss_on
    maker = SFTMaker(renderer, keys.prompt, keys.response, keys.messages, loss_on)
    settings = LoadSettings(max_length=data.max_length)
    return load_samples(data.train, maker, settings, inputs.locator, inputs.on_progress)


def to_samples(samples: Sequence[SFTSample], score: FrozenScores) -> Sequence[SFTSample]:
    """SFT needs no frozen model."""
    return samples
