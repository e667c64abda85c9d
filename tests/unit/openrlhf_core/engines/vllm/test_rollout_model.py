import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel

from openrlhf_core.engines.protocols import GenerationRequest, RequestId, WeightInfo
from openrlhf_core.engines.vllm.model_directory import read_rollout_model
from openrlhf_core.models.weight_names import FileLayout, stored_weights
from openrlhf_core.spec.exit_codes import ConfigurationError

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 1,
    "intermediate_size": 64,
    "vocab_size": 8,
    "max_position_embeddings": 32,
    "tie_word_embeddings": False,
    "eos_token_id": 2,
}
WEIGHTS = {
    "model.embed_tokens.weight": (8, 64),
    "lm_head.weight": (8, 64),
    "model.norm.weight": (64,),
}


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


def make_model(directory: Path, weights=WEIGHTS, generation=None, **config) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(CONFIG | config))
    if generation is not None:
        (directory / "generation_config.json").write_text(json.dumps(generation))
    save_file(
        {name: torch.zeros(shape) for name, shape in weights.items()},
        directory / "model.safetensors",
    )
    return directory


def make_request(prompt_length: int, max_tokens: int) -> GenerationRequest:
    return request_for(np.zeros(prompt_length, np.int32), max_tokens)


def request_for(prompt_ids: np.ndarray, max_tokens: int = 1) -> GenerationRequest:
    return GenerationRequest(RequestId(0, 0), prompt_ids, seed=0, max_tokens=max_tokens)


def without(name: str) -> dict[str, tuple[int, ...]]:
    return {each: shape for each, shape in WEIGHTS.items() if each != name}


def announced(weights) -> list[WeightInfo]:
    return [WeightInfo(name, "float32", shape) for name, shape in weights.items()]


def test_facts_are_read_from_the_directory(tmp_path) -> None:
    model = read_rollout_model(make_model(tmp_path), 32)
    assert model.head_size == 32
    assert model.end_token_ids == (2,)
    assert not model.has_tokenizer
    assert model.shapes == WEIGHTS


def test_a_head_size_of_its_own_wins_over_the_quotient(tmp_path) -> None:
    assert read_rollout_model(make_model(tmp_path, head_dim=128), 32).head_size == 128


@pytest.mark.parametrize(
    ("generation", "expected"),
    [({"eos_token_id": [5, 3]}, (3, 5)), ({"eos_token_id": 4}, (4,)), ({"do_sample": True}, ())],
)
def test_a_generation_config_names_the_end_tokens(tmp_path, generation, expected) -> None:
    assert read_rollout_model(make_model(tmp_path, generation=generation), 32).end_token_ids == (
        expected
    )


def test_the_tokenizers_end_token_ends_completions_too(tmp_path) -> None:
    make_model(tmp_path, generation={"eos_token_id": 4})
    vocabulary = {"<unk>": 0, "a": 1, "</s>": 6}
    (tmp_path / "tokenizer.json").write_text(
        json.dumps(
            {
                "version": "1.0",
                "truncation": None,
                "padding": None,
                "added_tokens": [],
                "normalizer": None,
                "pre_tokenizer": {"type": "Whitespace"},
                "post_processor": None,
                "decoder": None,
                "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
            }
        )
    )
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"})
    )
    model = read_rollout_model(tmp_path, 32)
    assert model.has_tokenizer
    assert model.end_token_ids == (4, 6)


def test_sequences_longer_than_the_model_was_made_for_are_refused(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match=r"add up to 33 tokens .* made for 32; lower one"):
        read_rollout_model(make_model(tmp_path), 33)


def test_a_directory_without_a_model_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="holds no model that transformers can read"):
        read_rollout_model(tmp_path, 32)


def test_a_model_without_safetensors_is_refused(tmp_path) -> None:
    (make_model(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match=r"model\.safetensors is missing"):
        read_rollout_model(tmp_path, 32)


def test_a_missing_shard_is_named(tmp_path) -> None:
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (make_model(tmp_path) / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model.safetensors").rename(tmp_path / "one.safetensors")
    with pytest.raises(ConfigurationError, match=r"two\.safetensors is missing"):
        read_rollout_model(tmp_path, 32)


def test_requests_may_fill_the_sequence_and_no_more(tmp_path) -> None:
    model = read_rollout_model(make_model(tmp_path), 32)
    model.check_requests([make_request(30, 2)])
    with pytest.raises(ConfigurationError, match=r"30 tokens .*maxTokens 3 make 33"):
        model.check_requests([make_request(30, 2), make_request(30, 3)])


def test_an_empty_prompt_is_refused(tmp_path) -> None:
    model = read_rollout_model(make_model(tmp_path), 32)
    with pytest.raises(ConfigurationError, match="empty prompt"):
        model.check_requests([make_request(0, 3)])


def test_tokens_that_the_model_does_not_know_are_refused(tmp_path) -> None:
    model = read_rollout_model(make_model(tmp_path), 32)
    model.check_requests([request_for(np.array([7], np.int32))])
    with pytest.raises(ConfigurationError, match=r"holds token 8, .* knows tokens below 8"):
        model.check_requests([request_for(np.array([1, 8], np.int32))])


def test_a_tokenizer_that_cannot_be_read_is_refused(tmp_path) -> None:
    make_model(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="holds no tokenizer that transformers can read"):
        read_rollout_model(tmp_path, 32)


def test_the_learner_must_send_every_weight_of_the_checkpoint(tmp_path) -> None:
    model = read_rollout_model(make_model(tmp_path), 32)
    model.check_weights(announced(WEIGHTS))
    model.check_weights(announced(WEIGHTS | {"extra": (1,)}))
    with pytest.raises(ConfigurationError, match=r"loads lm_head\.weight .* does not send it"):
        model.check_weights(announced(without("lm_head.weight")))


def test_a_tied_head_and_rotary_tables_need_not_be_sent(tmp_path) -> None:
    table = "model.layers.0.self_attn.rotary_emb.inv_freq"
    make_model(tmp_path, WEIGHTS | {table: (16,)}, tie_word_embeddings=True)
    model = read_rollout_model(tmp_path, 32)
    assert model.unused == {"lm_head.weight", table}
    model.check_weights(announced(without("lm_head.weight")))


def test_a_tied_head_that_is_sent_must_have_its_shape(tmp_path) -> None:
    model = read_rollout_model(make_model(tmp_path, tie_word_embeddings=True), 32)
    with pytest.raises(ConfigurationError, match=r"lm_head\.weight has shape"):
        model.check_weights(announced(WEIGHTS | {"lm_head.weight": (9, 64)}))


@pytest.mark.parametrize(
    "kind",
    ["llama", "gpt2", "gpt2-hub", "gpt_neox", "qwen2_moe", "qwen3_moe", "mixtral", "olmoe"],
)
def test_what_a_learner_sends_has_the_names_of_the_files(tmp_path, kind) -> None:
    model, directory = save_kind(tmp_path, kind)
    sent = [
        WeightInfo(name, "float32", tuple(tensor.shape))
        for name, tensor in FileLayout(model, directory).translate(stored_weights(model))
    ]
    facts = read_rollout_model(directory, 16)
    facts.check_weights(sent)
    assert {weight.name for weight in sent} >= facts.shapes.keys() - facts.unused
    with pytest.raises(ConfigurationError, match=f"loads {re.escape(sent[-1].name)} from"):
        facts.check_weights(sent[:-1])


def save_kind(directory: Path, kind: str) -> tuple[PreTrainedModel, Path]:
    """A tiny model of a kind that transformers holds under other names than its files do."""
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "vocab_size": 16, "max_position_embeddings": 32}
    config: Any = CONFIG_MAPPING[kind.removesuffix("-hub")](
        **sizes | {"tie_word_embeddings": False}
    )
    for name in ("num_experts", "num_local_experts"):
        if hasattr(config, name):
            setattr(config, name, 2)
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    if kind == "gpt2-hub":
        leave_out_prefix(directory / "model.safetensors")
    return AutoModelForCausalLM.from_pretrained(directory), directory


def leave_out_prefix(file: Path) -> None:
    """Renames weights as in the files of GPT-2 on the Hugging Face hub, which hold masks too."""
    weights = {name.removeprefix("transformer."): each for name, each in load_file(file).items()}
    masks = {"h.0.attn.bias": torch.ones(1, 1, 32, 32)}
    save_file(weights | masks, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("written", "rope", "expected"),
    [
        (32, {"rope_type": "default"}, 32),
        (32, {"rope_type": "linear", "factor": 2.0}, 64),
        (32, {"rope_type": "dynamic", "factor": 4.0}, 128),
        (32, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}, 128),
        (128, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}, 128),
        (128, {**LLAMA3, "original_max_position_embeddings": 16}, 128),
    ],
)
def test_scaled_rotary_embeddings_stretch_the_longest_sequence(
    tmp_path, written, rope, expected
) -> None:
    rope = {"rope_theta": 1e4, **rope}
    make_model(tmp_path, max_position_embeddings=written, rope_parameters=rope)
    model = read_rollout_model(tmp_path, expected)
    is_short_yarn = rope["rope_type"] == "yarn" and written < expected
    assert model.extended_length == (expected if is_short_yarn else None)
    with pytest.raises(ConfigurationError, match=f"was made for {expected}; lower one"):
        read_rollout_model(tmp_path, expected + 1)


def test_a_weight_of_another_shape_is_named_with_both(tmp_path) -> None:
    model = read_rollout_model(make_model(tmp_path), 32)
    changed = announced(WEIGHTS | {"model.norm.weight": (65,)})
    with pytest.raises(ConfigurationError, match=r"norm\.weight has shape \(64,\).*\(65,\)"):
        model.check_weights(changed)
