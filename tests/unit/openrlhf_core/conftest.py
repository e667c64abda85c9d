"""Tiny models in Hugging Face layout, made once a run and shared by the tests that open models."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

ModelMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def make_model_directory(tmp_path_factory: pytest.TempPathFactory) -> ModelMaker:
    """Writes a Qwen2 or Llama model of about 0.1M parameters and returns its directory."""
    from transformers import (  # noqa: PLC0415 - seconds, for tests that ask for a model only
        LlamaConfig,
        LlamaForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
    )

    classes = {"Qwen2": (Qwen2Config, Qwen2ForCausalLM), "Llama": (LlamaConfig, LlamaForCausalLM)}

    @cache
    def make(layout: str = "Qwen2", tied: bool = True, seed: int = 0) -> Path:
        config_class, model_class = classes[layout]
        config = config_class(
            vocab_size=96,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            tie_word_embeddings=tied,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
        torch.manual_seed(seed)
        directory = tmp_path_factory.mktemp(f"{layout}-{'tied' if tied else 'untied'}")
        model_class(config).save_pretrained(directory)
        (directory / "tokenizer.json").write_text("{}")
        return directory

    return make


KIND_SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 96,
    "max_position_embeddings": 128,
    "vocab_size": 96,
}
"""Of a tiny model of any kind; a kind ignores the fields that it does not have."""


@pytest.fixture(scope="session")
def make_kind(tmp_path_factory: pytest.TempPathFactory) -> ModelMaker:
    """Writes a tiny model of any kind that transformers has, and returns its directory.

    Its weights are large enough that what one token does to another shows in log-probs.
    """
    import torch  # noqa: PLC0415
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM  # noqa: PLC0415

    def make(kind: str, **settings: Any) -> Path:
        config_class = CONFIG_MAPPING[kind]
        known = {**vars(config_class()), **config_class.attribute_map}
        sizes: dict[str, Any] = {k: v for k, v in KIND_SIZES.items() if k in known}
        config = config_class(**{**sizes, "bos_token_id": 1, "eos_token_id": 2, **settings})
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for weight in model.parameters():
            if weight.dim() > 1:
                torch.nn.init.normal_(weight, std=0.1)
        directory = tmp_path_factory.mktemp(kind)
        model.save_pretrained(directory)
        (directory / "tokenizer.json").write_text("{}")
        return directory

    return make
