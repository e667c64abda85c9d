import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from openrlhf_core.engines.protocols import GenerationRequest, RequestId, WeightInfo
from openrlhf_core.engines.vllm.model_directory import read_rollout_model
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
    without = {name: shape for name, shape in WEIGHTS.items() if name != "lm_head.weight"}
    with pytest.raises(ConfigurationError, match=r"loads lm_head\.weight .* does not send it"):
        model.check_weights(announced(without))


def test_a_tied_head_and_rotary_tables_need_not_be_sent(tmp_path) -> None:
    table = "model.layers.0.self_attn.rotary_emb.inv_freq"
    make_model(tmp_path, WEIGHTS | {table: (16,)}, tie_word_embeddings=True)
    model = read_rollout_model(tmp_path, 32)
    assert set(model.shapes) == {"model.embed_tokens.weight", "model.norm.weight"}


def test_a_weight_of_another_shape_is_named_with_both(tmp_path) -> None:
    model = read_rollout_model(make_model(tmp_path), 32)
    changed = announced(WEIGHTS | {"model.norm.weight": (65,)})
    with pytest.raises(ConfigurationError, match=r"norm\.weight has shape \(64,\).*\(65,\)"):
        model.check_weights(changed)
