"""The reference model's log-probs and its sleep."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from openrlhf_core.engines.learner_settings import Hardware, ModelSettings
from openrlhf_core.engines.scoring_model import ScoringModel
from openrlhf_core.objectives.outputs import TokenLogprobs


def make_reference(directory, packing=False, temperature=1.0):
    settings = ModelSettings("Float32", pad_id=0, packing=packing)
    return ScoringModel(directory, settings, Hardware("CPU", 1), TokenLogprobs(temperature))


def make_token_ids(*lengths):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 96, length).astype(np.int32) for length in lengths]


@pytest.mark.parametrize("packing", [False, True])
def test_logprobs_do_not_depend_on_the_micro_batches(make_model_directory, packing):
    reference = make_reference(make_model_directory(), packing)
    ids = make_token_ids(7, 3, 5)
    together = reference.score([ids])[0]
    apart = [one[0] for one in reference.score([[one] for one in ids])]
    for first, second, tokens in zip(together, apart, ids, strict=True):
        assert first.shape == tokens.shape
        assert first[0] == 0.0
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_shapes_are_kept_and_empty_micro_batches_stay_empty(make_model_directory):
    logprobs = make_reference(make_model_directory()).score([make_token_ids(2), [], []])
    assert [len(micro_batch) for micro_batch in logprobs] == [1, 0, 0]


def test_temperature_divides_the_logits(make_model_directory):
    ids = [make_token_ids(6)]
    warm = make_reference(make_model_directory(), temperature=2.0).score(ids)[0][0]
    plain = AutoModelForCausalLM.from_pretrained(make_model_directory())
    tokens = torch.from_numpy(ids[0][0]).long()
    with torch.no_grad():
        log_p = torch.log_softmax(plain(tokens[None]).logits[0] / 2.0, dim=-1)
    np.testing.assert_allclose(warm[1:], log_p[:-1].gather(1, tokens[1:, None])[:, 0], atol=1e-5)


def test_logprobs_after_waking_are_the_same_bit_for_bit(make_model_directory):
    reference = make_reference(make_model_directory())
    before = reference.score([make_token_ids(5)])[0][0]
    reference.sleep()
    reference.wake()
    np.testing.assert_array_equal(reference.score([make_token_ids(5)])[0][0], before)
