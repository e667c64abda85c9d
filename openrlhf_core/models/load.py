"""Opens a causal language model in Hugging Face layout, or says what is wrong with the directory.

Safetensors only: a pickle can run code. Python code inside the directory runs only when asked for.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from openrlhf_core.spec.exit_codes import ConfigurationError

Attention = Literal["Auto", "SDPA", "Eager", "FlashAttention2"]
DeviceKind = Literal["CPU", "CUDA"]
Dtype = Literal["BFloat16", "Float32"]

DTYPES: dict[Dtype, torch.dtype] = {"BFloat16": torch.bfloat16, "Float32": torch.float32}

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
"""Any one of them makes a tokenizer."""

HEAD_RESCALING = {
    "final_logit_softcapping": None,
    "logit_scale": 1.0,
    "logits_scaling": 1.0,
    "output_multiplier_scale": 1.0,
}
"""Configuration fields that change logits after the output embedding, and their idle values."""


def load_causal_lm(
    directory: Path,
    dtype: Dtype,
    attention: Attention,
    device_kind: DeviceKind,
    trust_remote_code: bool,
) -> PreTrainedModel:
    """The model in `directory`, on the CPU, without dropout, every weight from the files.

    Raises ConfigurationError, naming the directory and the mend, for whatever is missing in it or
    cannot be trained here.
    """
    config = read_model_config(directory, trust_remote_code)
    _require_safetensors(directory)
    _refuse_rescaled_logits(directory, config)
    model = _read_weights(directory, dtype, attention, device_kind, trust_remote_code)
    _refuse_unusual_head(directory, model)
    remove_dropout(model)
    return model


def read_model_config(directory: Path, trust_remote_code: bool) -> PretrainedConfig:
    """The model's configuration; ConfigurationError when it is missing, broken or unsupported."""
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


def attention_implementation(attention: Attention, device_kind: DeviceKind) -> str:
    """The name transformers has for an attention kernel; Auto takes the fastest one at hand."""
    has_flash = device_kind == "CUDA" and importlib.util.find_spec("flash_attn") is not None
    if attention == "Auto":
        return "flash_attention_2" if has_flash else "sdpa"
    if attention == "FlashAttention2" and not has_flash:
        raise ConfigurationError(
            "attention FlashAttention2 needs a CUDA device and the package flash-attn; "
            "set attention: Auto"
        )
    return {"SDPA": "sdpa", "Eager": "eager", "FlashAttention2": "flash_attention_2"}[attention]


def remove_dropout(model: nn.Module) -> None:
    """Sets every dropout to 0: a ratio of probabilities means something only without it."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]


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


def _refuse_rescaled_logits(directory: Path, config: PretrainedConfig) -> None:
    for name, idle in HEAD_RESCALING.items():
        value = getattr(config, name, None)
        if value is not None and value != idle:
            raise ConfigurationError(
                f"{directory}/config.json sets {name}: {value}, which changes logits after the "
                "output embedding; such models cannot be trained yet: take another model"
            )


def _read_weights(
    directory: Path,
    dtype: Dtype,
    attention: Attention,
    device_kind: DeviceKind,
    trust_remote_code: bool,
) -> PreTrainedModel:
    implementation = attention_implementation(attention, device_kind)
    options: dict[str, Any] = {
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": trust_remote_code,
        "dtype": DTYPES[dtype],
        "attn_implementation": implementation,
        "output_loading_info": True,
    }
    loaded: tuple[PreTrainedModel, dict[str, Any]]
    try:
        loaded = AutoModelForCausalLM.from_pretrained(directory, **options)  # type: ignore[assignment]
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
    if type(head) is not nn.Linear or head.bias is not None:
        raise ConfigurationError(
            f"the output embedding of the model in {directory} is {head}; only a linear map "
            "without bias can be trained yet: take another model"
        )
