"""Shapes of common open models by their name on the hub, so that `rlhf plan` needs no download.

The numbers are those of each model's published config.json. A variant that is tuned from the same
weights (Instruct, it, Base, Chat) has the same shape. Models that are not here are not guessed.
"""

import re

from openrlhf_core.spec.planning.memory import ModelShape

VARIANT = re.compile(r"-(instruct|it|pt|base|chat)(?=-|$)", re.IGNORECASE)


def known_shape(repository: str) -> ModelShape | None:
    """The shape of a hub model, as `Qwen/Qwen2.5-7B-Instruct`; None where the table lacks it."""
    return _BY_NAME.get(VARIANT.sub("", repository).lower())


# hidden, layers, intermediate, heads, key-value heads, head dimension, vocabulary, tied embeddings
_LLAMA_8B = ModelShape(4096, 32, 14336, 32, 8, 128, 128256, False)
_LLAMA_70B = ModelShape(8192, 80, 28672, 64, 8, 128, 128256, False)
_QWEN_1_5B = ModelShape(1536, 28, 8960, 12, 2, 128, 151936, True)
_QWEN_7B = ModelShape(3584, 28, 18944, 28, 4, 128, 152064, False)
_QWEN_14B = ModelShape(5120, 48, 13824, 40, 8, 128, 152064, False)
_QWEN_32B = ModelShape(5120, 64, 27648, 40, 8, 128, 152064, False)
_QWEN_72B = ModelShape(8192, 80, 29568, 64, 8, 128, 152064, False)
_MISTRAL_7B = ModelShape(4096, 32, 14336, 32, 8, 128, 32000, False)
_PHI_4 = ModelShape(5120, 40, 17920, 40, 10, 128, 100352, False)
_PHI_4_MINI = ModelShape(3072, 32, 8192, 24, 8, 128, 200064, True)

SHAPES: dict[str, ModelShape] = {
    "meta-llama/Meta-Llama-3-8B": _LLAMA_8B,
    "meta-llama/Meta-Llama-3-70B": _LLAMA_70B,
    "meta-llama/Meta-Llama-3.1-8B": _LLAMA_8B,
    "meta-llama/Meta-Llama-3.1-70B": _LLAMA_70B,
    "meta-llama/Llama-3.1-8B": _LLAMA_8B,
    "meta-llama/Llama-3.1-70B": _LLAMA_70B,
    "meta-llama/Llama-3.1-405B": ModelShape(16384, 126, 53248, 128, 8, 128, 128256, False),
    "meta-llama/Llama-3.2-1B": ModelShape(2048, 16, 8192, 32, 8, 64, 128256, True),
    "meta-llama/Llama-3.2-3B": ModelShape(3072, 28, 8192, 24, 8, 128, 128256, True),
    "meta-llama/Llama-3.3-70B": _LLAMA_70B,
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": _LLAMA_8B,
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B": _LLAMA_70B,
    "Qwen/Qwen2.5-0.5B": ModelShape(896, 24, 4864, 14, 2, 64, 151936, True),
    "Qwen/Qwen2.5-1.5B": _QWEN_1_5B,
    "Qwen/Qwen2.5-3B": ModelShape(2048, 36, 11008, 16, 2, 128, 151936, True),
    "Qwen/Qwen2.5-7B": _QWEN_7B,
    "Qwen/Qwen2.5-14B": _QWEN_14B,
    "Qwen/Qwen2.5-32B": _QWEN_32B,
    "Qwen/Qwen2.5-72B": _QWEN_72B,
    "Qwen/Qwen2.5-Math-1.5B": _QWEN_1_5B,
    "Qwen/Qwen2.5-Math-7B": _QWEN_7B,
    "Qwen/Qwen2.5-Math-72B": _QWEN_72B,
    "Qwen/Qwen2.5-Coder-7B": _QWEN_7B,
    "Qwen/Qwen2.5-Coder-14B": _QWEN_14B,
    "Qwen/Qwen2.5-Coder-32B": _QWEN_32B,
    "Qwen/QwQ-32B": _QWEN_32B,
    "Qwen/Qwen3-0.6B": ModelShape(1024, 28, 3072, 16, 8, 128, 151936, True),
    "Qwen/Qwen3-1.7B": ModelShape(2048, 28, 6144, 16, 8, 128, 151936, True),
    "Qwen/Qwen3-4B": ModelShape(2560, 36, 9728, 32, 8, 128, 151936, True),
    "Qwen/Qwen3-8B": ModelShape(4096, 36, 12288, 32, 8, 128, 151936, False),
    "Qwen/Qwen3-14B": ModelShape(5120, 40, 17408, 40, 8, 128, 151936, False),
    "Qwen/Qwen3-32B": ModelShape(5120, 64, 25600, 64, 8, 128, 151936, False),
    "mistralai/Mistral-7B-v0.1": _MISTRAL_7B,
    "mistralai/Mistral-7B-v0.2": _MISTRAL_7B,
    "mistralai/Mistral-7B-v0.3": ModelShape(4096, 32, 14336, 32, 8, 128, 32768, False),
    "mistralai/Mistral-Large-2407": ModelShape(12288, 88, 28672, 96, 8, 128, 32768, False),
    "google/gemma-2-2b": ModelShape(2304, 26, 9216, 8, 4, 256, 256000, True),
    "google/gemma-2-9b": ModelShape(3584, 42, 14336, 16, 8, 256, 256000, True),
    "google/gemma-2-27b": ModelShape(4608, 46, 36864, 32, 16, 128, 256000, True),
    "google/gemma-3-1b": ModelShape(1152, 26, 6912, 4, 1, 256, 262144, True),
    "microsoft/phi-4": _PHI_4,
    "microsoft/Phi-4-reasoning": _PHI_4,
    "microsoft/Phi-4-mini": _PHI_4_MINI,
    "microsoft/Phi-4-mini-reasoning": _PHI_4_MINI,
    "HuggingFaceTB/SmolLM2-135M": ModelShape(576, 30, 1536, 9, 3, 64, 49152, True),
    "HuggingFaceTB/SmolLM2-360M": ModelShape(960, 32, 2560, 15, 5, 64, 49152, True),
    "HuggingFaceTB/SmolLM2-1.7B": ModelShape(2048, 24, 8192, 32, 32, 64, 49152, True),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": ModelShape(2048, 22, 5632, 32, 4, 64, 32000, False),
}

_BY_NAME = {VARIANT.sub("", name).lower(): shape for name, shape in SHAPES.items()}
