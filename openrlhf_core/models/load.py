"""Loads a causal language model in Hugging Face layout, or says what is wrong with the directory.

Safetensors only: a pickle can run code. Python code inside the directory runs only when asked for.
"""

import contextlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from openrlhf_core.models.determinism import remove_dropout, without_randomness
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.formats import Attention, DeviceKind, DType

DTYPES: dict[DType, torch.dtype] = {"BFloat16": torch.bfloat16, "Float32": torch.float32}

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
"""Any one of them makes a tokenizer."""


def load_causal_lm(
    directory: Path,
    dtype: DType,
    attention: Attention,
    device_kind: DeviceKind,
    trust_remote_code: bool,
) -> PreTrainedModel:
    """Loads the model in `directory` on the CPU, without dropout, every weight from the files.

    Raises ConfigurationError, naming the directory and what to do, for whatever is missing in it
    or cannot be trained here.
    """
    config = without_randomness(read_model_config(directory, trust_remote_code))
    _require_safetensors(directory)
    options = {
        "config": config,
        "trust_remote_code": trust_remote_code,
        "dtype": DTYPES[dtype],
        "attn_implementation": attention_implementation(attention, device_kind),
    }
    model = _read_weights(directory, options)
    _refuse_unusual_head(directory, model)
    remove_dropout(model)
    return model


def read_model_config(directory: Path, trust_remote_code: bool) -> PretrainedConfig:
    """Returns the model's configuration; ConfigurationError when it is missing or unsupported."""
    _require_files(directory)
    path = directory / "config.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error}; export the model again"
        ) from None
    if not isinstance(raw, dict) or "model_type" not in raw:
        raise ConfigurationError(f"{path} has no `model_type`; export the model again")
    if "auto_map" in raw and not trust_remote_code:
        raise ConfigurationError(
            f"{directory} brings Python code of its own; read it, then set trustRemoteCode: true "
            "of this model, or take a model whose architecture is built into transformers"
        )
    if raw["model_type"] not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and "auto_map" not in raw:
        raise ConfigurationError(
            f"{path}: model_type {raw['model_type']!r} is no causal language model that "
            "transformers knows; take another model"
        )
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except Exception as error:  # transformers and huggingface_hub raise types of every kind here
        raise ConfigurationError(f"{path} is refused by transformers: {error}") from error
    return config


def attention_implementation(attention: Attention, device_kind: DeviceKind) -> str | None:
    """Returns transformers' name of an attention kernel; Auto is the fastest one that is installed.

    None lets transformers choose: PyTorch's kernel where the model supports it, else its own.
    """
    has_flash = device_kind == "CUDA" and importlib.util.find_spec("flash_attn") is not None
    if attention == "Auto":
        return "flash_attention_2" if has_flash else None
    if attention == "FlashAttention2" and not has_flash:
        raise ConfigurationError(
            "attention FlashAttention2 needs a CUDA device and the package flash-attn; "
            "set attention: Auto"
        )
    return {"SDPA": "sdpa", "Eager": "eager", "FlashAttention2": "flash_attention_2"}[attention]


@contextlib.contextmanager
def runnable_on_cpu(model: PreTrainedModel) -> Iterator[None]:
    """Replaces flash attention, which needs a GPU, by PyTorch's until the end of the block."""
    attention = model.config._attn_implementation
    needs_gpu = attention is not None and "flash" in attention
    if needs_gpu:
        model.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        if needs_gpu:
            model.set_attn_implementation(attention)


def _require_files(directory: Path) -> None:
    if not directory.is_dir():
        raise ConfigurationError(f"model directory {directory} does not exist; correct the source")
    if not (directory / "config.json").is_file():
        raise ConfigurationError(
            f"{directory} has no config.json; point the source at a directory in Hugging Face "
            "layout (config.json, *.safetensors, tokenizer files)"
        )
    if not any((directory / name).is_file() for name in TOKENIZER_FILES):
        raise ConfigurationError(
            f"{directory} has no tokenizer (none of {', '.join(TOKENIZER_FILES)}); "
            "save the tokenizer beside the model"
        )


def _require_safetensors(directory: Path) -> None:
    if any(directory.glob("*.safetensors")):
        return
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt") for path in directory.glob(pattern))
    found = f"only {pickles[0]}, a pickle, which can run code" if pickles else "no weights"
    raise ConfigurationError(
        f"{directory} has {found}; save the model with save_pretrained, which writes safetensors"
    )


def _read_weights(directory: Path, options: dict[str, Any]) -> PreTrainedModel:
    offline = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True}
    loaded: tuple[PreTrainedModel, dict[str, Any]]
    try:
        loaded = AutoModelForCausalLM.from_pretrained(directory, **options, **offline)  # type: ignore[assignment]
    except Exception as error:  # safetensors and transformers raise types of every kind here
        raise ConfigurationError(f"the model in {directory} cannot be loaded: {error}") from error
    model, report = loaded
    missing = sorted(report["missing_keys"]) + sorted(str(k) for k in report["mismatched_keys"])
    if missing:
        raise ConfigurationError(
            f"the weights in {directory} lack or misshape {missing[0]} (and {len(missing) - 1} "
            "more); they do not belong to its config.json: export the model again"
        )
    return model


def _refuse_unusual_head(directory: Path, model: PreTrainedModel) -> None:
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if type(head) is not nn.Linear:
        raise ConfigurationError(
            f"the output embedding of the model in {directory} is {head}; only a linear map can "
            "be trained yet: take another model"
        )
