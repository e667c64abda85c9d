"""Weights by the names and shapes of the model's files, for kinds that differ in memory."""

from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.core_model_loading import revert_weight_conversion

from openrlhf_core.models.load import load_causal_lm
from openrlhf_core.models.weight_names import FileLayout, read_weight_names, stored_weights

EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
ROUTED_EXPERTS = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt_neox": {"tie_word_embeddings": False},
    "gpt2": {},
    "opt": {"word_embed_proj_dim": 64, "ffn_dim": 96},
    "qwen3_moe": {**EXPERTS, "head_dim": 32},
    "qwen2_moe": {**EXPERTS, "shared_expert_intermediate_size": 32},
    "olmoe": EXPERTS,
    "mixtral": LOCAL_EXPERTS,
    "phimoe": LOCAL_EXPERTS,
    "granitemoe": LOCAL_EXPERTS,
    "glm4_moe": {**ROUTED_EXPERTS, "head_dim": 32, "n_group": 1, "topk_group": 1},
    "hrm_text": {"head_dim": 32},
}


def load(directory):
    return load_causal_lm(directory, "Float32", "Auto", "CPU", False)


def weights_in_memory(model):
    return ((name, weight.data) for name, weight in stored_weights(model))


def rename(directory, change):
    path = directory / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


@pytest.mark.parametrize("kind", KINDS)
def test_translated_weights_are_those_in_the_files(make_kind, kind):
    directory = make_kind(kind, **KINDS[kind])
    model = load(directory)
    files = load_file(directory / "model.safetensors")
    translated = dict(FileLayout(model, directory).translate(weights_in_memory(model)))
    assert translated.keys() == files.keys()
    for name, weight in files.items():
        torch.testing.assert_close(translated[name], weight, atol=0, rtol=0, msg=name)


@pytest.mark.parametrize("kind", ["qwen3_moe", "gpt_neox", "hrm_text"])
def test_translation_is_the_one_of_transformers(make_kind, kind):
    directory = make_kind(kind, **KINDS[kind])
    model = load(directory)
    ours = dict(FileLayout(model, directory).translate(weights_in_memory(model)))
    theirs = revert_weight_conversion(model, dict(weights_in_memory(model)))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_are_known_without_the_weights(make_kind, kind):
    directory = make_kind(kind, **KINDS[kind])
    model = load(directory)
    empty = (
        (name, torch.empty_like(weight, device="meta")) for name, weight in stored_weights(model)
    )
    shapes = {name: weight.shape for name, weight in FileLayout(model, directory).translate(empty)}
    files = load_file(directory / "model.safetensors")
    assert shapes == {name: weight.shape for name, weight in files.items()}


def test_a_tensor_may_be_overwritten_once_the_next_is_asked_for(make_kind):
    directory = make_kind("hrm_text", **KINDS["hrm_text"])  # joins gate and up in its files
    model = load(directory)
    buffer = torch.empty(max(weight.numel() for _, weight in stored_weights(model)))

    def through_one_buffer():
        for name, weight in weights_in_memory(model):
            view = buffer[: weight.numel()].view(weight.shape)
            yield name, view.copy_(weight)
            view.fill_(torch.nan)

    translated = FileLayout(model, directory).translate(through_one_buffer())
    kept = {name: weight.clone() for name, weight in translated}
    files = load_file(directory / "model.safetensors")
    assert all(torch.equal(kept[name], weight) for name, weight in files.items())


def test_names_lack_the_prefix_of_the_body_where_the_files_lack_it(make_kind):
    directory = make_kind("gpt2")
    rename(directory, lambda w: {name.removeprefix("transformer."): v for name, v in w.items()})
    model = load(directory)
    translated = dict(FileLayout(model, directory).translate(weights_in_memory(model)))
    assert translated.keys() == read_weight_names(directory)


def test_saved_buffers_are_stored_weights_and_others_are_not(make_kind):
    model = load(make_kind("glm4_moe", **KINDS["glm4_moe"], first_k_dense_replace=0))
    names = [name for name, _ in stored_weights(model)]
    assert "model.layers.0.mlp.gate.e_score_correction_bias" in names
    assert not [name for name in names if "inv_freq" in name]
    assert len(names) == len(set(names))


def test_weights_that_never_come_whole_are_an_error(make_kind):
    directory = make_kind("hrm_text", **KINDS["hrm_text"])
    model = load(directory)
    some = [(name, w) for name, w in weights_in_memory(model) if "up_proj" not in name]
    with pytest.raises(ValueError, match=r"weights are missing to make .*gate_up_proj"):
        list(FileLayout(model, directory).translate(some))
