"""The reference model's log-probs, its sleep, and the directory that an export writes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from openrlhf_core.engines.export import export_model
from openrlhf_core.engines.learner_settings import Hardware, ModelSettings
from openrlhf_core.engines.reference_model import ReferenceModel
from openrlhf_core.models.load import load_causal_lm
from openrlhf_core.models.policy import PolicyModel, huggingface_name
from openrlhf_core.objectives.outputs import TokenLogprobs


def make_reference(directory, packing=False, temperature=1.0):
    settings = ModelSettings("Float32", pad_id=0, packing=packing)
    return ReferenceModel(directory, settings, Hardware("CPU", 1), TokenLogprobs(temperature))


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


@pytest.mark.parametrize("tied", [True, False])
def test_export_is_a_directory_that_transformers_opens(make_model_directory, tmp_path, tied):
    source = make_model_directory("Qwen2", tied)
    policy = PolicyModel(load_causal_lm(source, "BFloat16", "Auto", "CPU", False))
    weights = {
        huggingface_name(name): weight.detach().clone() + 1
        for name, weight in policy.named_parameters()
    }
    export_model(policy.model, weights, source, tmp_path / "out")
    reopened = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert reopened.dtype == torch.bfloat16
    for name, weight in reopened.named_parameters():
        torch.testing.assert_close(weight, weights[name], atol=0, rtol=0)
    assert ("lm_head.weight" in load_file(tmp_path / "out" / "model.safetensors")) == (not tied)


def test_export_carries_what_lies_beside_the_weights(make_model_directory, tmp_path):
    source = make_model_directory()
    generation = json.loads((source / "generation_config.json").read_text())
    policy = PolicyModel(load_causal_lm(source, "Float32", "Auto", "CPU", False))
    weights = {huggingface_name(n): w.detach().clone() for n, w in policy.named_parameters()}
    export_model(policy.model, weights, source, tmp_path)
    assert json.loads((tmp_path / "generation_config.json").read_text()) == generation
    assert (tmp_path / "tokenizer.json").read_text() == "{}"
    exported = json.loads((tmp_path / "config.json").read_text())
    assert exported["use_cache"] is True
    assert not [path for path in Path(tmp_path).iterdir() if path.suffix in (".bin", ".pt")]
    modes = {path.stat().st_mode for path in Path(tmp_path).iterdir()}
    assert len(modes) == 1, "all files are as readable as each other"
