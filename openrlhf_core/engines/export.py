"""Writes a model as a directory in Hugging Face layout that transformers and vLLM open.

Everything but the weights comes from the directory that the model was loaded from. transformers'
own `save_pretrained` is not used: it refuses configurations that it loads, such as a
generation_config.json with a temperature and without do_sample.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from openrlhf_core.spec.exit_codes import ConfigurationError

COMPANIONS = ("*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken")
"""Files beside the weights: tokenizer, chat templates, generation_config.json."""
NOT_COPIED = ("config.json", "model.safetensors.index.json", "pytorch_model.bin.index.json")
LARGEST_FILE = "5GB"
"""A larger model is split into several files."""


def export_model(
    model: PreTrainedModel, weights: Mapping[str, Tensor], source: Path, directory: Path
) -> None:
    """Writes `weights` (safetensors), and the configuration and companions of `source`.

    `weights` are whole, on the CPU, by their names in the files, a tied one once.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _write_companions(model, source, directory)
    _write_weights(weights, directory)


def rehearse_export(model: PreTrainedModel, source: Path) -> None:
    """Tries an export without weights; ConfigurationError when it fails.

    Done before the first step, because an export that fails later loses the training.
    """
    try:
        with tempfile.TemporaryDirectory() as directory:
            _write_companions(model, source, Path(directory))
    except (OSError, ValueError, TypeError, shutil.Error) as error:
        raise ConfigurationError(
            f"the model in {source} could be trained but not saved: {error}; repair its files"
        ) from error


def _write_companions(model: PreTrainedModel, source: Path, directory: Path) -> None:
    config: dict[str, Any] = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = [type(model).__name__]
    config["torch_dtype" if "torch_dtype" in config else "dtype"] = str(model.dtype)[6:]
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (directory / "config.json").write_text(f"{text}\n", encoding="utf-8")
    patterns = (*COMPANIONS, "*.py") if "auto_map" in config else COMPANIONS
    for path in (path for pattern in patterns for path in source.glob(pattern)):
        if path.name not in NOT_COPIED and path.is_file():
            shutil.copyfile(path, directory / path.name)
    templates = source / "additional_chat_templates"
    if templates.is_dir():
        shutil.copytree(templates, directory / templates.name, dirs_exist_ok=True)


def _write_weights(weights: Mapping[str, Tensor], directory: Path) -> None:
    split = split_torch_state_dict_into_shards(
        dict(weights), filename_pattern="model{suffix}.safetensors", max_shard_size=LARGEST_FILE
    )
    for file_name, names in split.filename_to_tensors.items():
        path = directory / file_name
        tensors = {name: weights[name].contiguous() for name in names}
        save_file(tensors, path, metadata={"format": "pt"})
        # safetensors makes files that nobody but this user may read.
        shutil.copymode(directory / "config.json", path)
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        text = json.dumps(index, indent=2, sort_keys=True)
        (directory / "model.safetensors.index.json").write_text(f"{text}\n", encoding="utf-8")
