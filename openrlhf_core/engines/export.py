"""Writes a model as a directory in Hugging Face layout that transformers and vLLM open."""

import shutil
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

COMPANION_FILES = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "chat_template.jinja",
    "chat_template.json",
)
"""What lies beside the weights and training does not change."""


def export_model(
    model: PreTrainedModel, weights: dict[str, Tensor], source: Path, directory: Path
) -> None:
    """Writes weights (safetensors) and configuration, and copies the companions of `source`.

    `weights` are whole, on the CPU, by Hugging Face name, a tied one once.
    """
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory, state_dict=weights)
    # safetensors makes files that nobody but this user may read.
    for file in directory.glob("*.safetensors"):
        shutil.copymode(directory / "config.json", file)
    (directory / "generation_config.json").unlink(missing_ok=True)
    for name in COMPANION_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, directory / name)
    templates = source / "additional_chat_templates"
    if templates.is_dir():
        shutil.copytree(templates, directory / templates.name, dirs_exist_ok=True)
