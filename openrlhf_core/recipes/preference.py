"""Recipe DPO: learns to prefer one response to another, held to a reference (also IPO, cDPO)."""

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from openrlhf_core.data.sample_stream import SampleDataset
from openrlhf_core.data.supervised.datasets import LoadSettings, load_samples
from openrlhf_core.data.supervised.preference import PreferenceMaker
from openrlhf_core.data.supervised.renderer import TextRenderer
from openrlhf_core.data.supervised.samples import PairSample
from openrlhf_core.objectives.preference import PreferenceObjective, PreferenceSample
from openrlhf_core.recipes.recipe import Prepared, RunInputs
from openrlhf_core.recipes.supervised.session import (
    FrozenScores,
    SupervisedKind,
    prepare_supervised,
)
from openrlhf_core.spec.kinds.recipes import present
from openrlhf_core.spec.kinds.training import TrainingSpec


def prepare(inputs: RunInputs) -> Prepared:
    """Reads tokenizer and pairs and fixes every number."""
    return prepare_supervised(inputs, SupervisedKind(load, to_samples, objective))


def load(
    inputs: RunInputs, tokenizer: PreTrainedTokenizerBase
) -> Sequence[SampleDataset[PairSample]]:
    """Reads and tokenises the training datasets."""
    data = inputs.config.training.data
    keys = data.keys
    renderer = TextRenderer(tokenizer, data.apply_chat_template, data.input_template, inputs.began)
    maker = PreferenceMaker(renderer, keys.prompt, keys.chosen, keys.rejected, margin=None)
    settings = LoadSettings(max_length=data.max_length)
    return load_samples(data.train, maker, settings, inputs.locator, inputs.on_progress)


def objective(training: TrainingSpec) -> PreferenceObjective:
    dpo = present(training.dpo)
    return PreferenceObjective(dpo.loss, dpo.beta, dpo.label_smoothing, dpo.nll_coefficient)


def to_samples(pairs: Sequence[PairSample], score: FrozenScores) -> list[PreferenceSample]:
    """Adds the reference's log-probs of both responses."""
    chosen = score("Reference", [pair.chosen_ids for pair in pairs])
    rejected = score("Reference", [pair.rejected_ids for pair in pairs])
    return [
        PreferenceSample(
            chosen_ids=pair.chosen_ids,
            chosen_mask=pair.chosen_mask,
            rejected_ids=pair.rejected_ids,
            rejected_mask=pair.rejected_mask,
            ref_chosen=response_logprob(chosen[index], pair.chosen_mask),
            ref_rejected=response_logprob(rejected[index], pair.rejected_mask),
        )
        for index, pair in enumerate(pairs)
    ]


def response_logprob(logprobs: np.ndarray, mask: np.ndarray) -> float:
    """The log-prob of a whole response: the sum over its tokens, in float64."""
    return float(logprobs[mask].sum(dtype=np.float64))
