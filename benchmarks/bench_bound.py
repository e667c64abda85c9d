"""What no implementation goes below: the matrix products of a step at one core's measured speed."""

import time
from collections.abc import Mapping
from typing import Any

import torch

from bench_cases import NUM_PROMPTS, PROMPT_TOKENS, SAMPLES, VOCABULARY, ModelShape

REPEATS = 50
TOKENS = 4096
"""Rows of the product that is timed: about those of a micro-batch."""
WIDTH = 256


def matrix_weights(shape: ModelShape) -> int:
    """Weights that every token is multiplied by, the output embedding with them.

    >>> matrix_weights(ModelShape("toy", 64, 1))  # 2 x 64 x (64 + 32) + 3 x 64 x 128 + 128 x 64
    45056
    """
    key_value = shape.key_value_heads * shape.hidden // shape.heads
    attention = 2 * shape.hidden * (shape.hidden + key_value)
    feed_forward = 3 * shape.hidden * shape.intermediate
    return shape.layers * (attention + feed_forward) + VOCABULARY * shape.hidden


def least_operations(shape: ModelShape, tokens: float) -> tuple[float, float]:
    """Operations of generating and of learning from `tokens` tokens of completions of a step.

    Generation: 2 a weight and token, each prompt once. Update: 6 (forward, and backward for inputs
    and weights), each completion with its prompt. Attention's own products are left out.
    """
    weights = matrix_weights(shape)
    generation = 2.0 * weights * (tokens + NUM_PROMPTS * PROMPT_TOKENS)
    update = 6.0 * weights * (tokens + SAMPLES * PROMPT_TOKENS)
    return generation, update


def multiplication_rate() -> float:
    """Operations a CPU-second of one thread in a large float32 product, the fastest of some."""
    torch.set_num_threads(1)
    left, right = torch.randn(TOKENS, WIDTH), torch.randn(WIDTH, 2 * WIDTH)
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        torch.mm(left, right)
        seconds.append(time.process_time() - started)
    return 2.0 * TOKENS * WIDTH * 2 * WIDTH / min(seconds)


def least_seconds(case: Mapping[str, Any], rate: float) -> tuple[float, float]:
    """CPU-seconds a step for generation and update of a recorded case, at `rate`."""
    model = case["settings"]["model"]
    shape = ModelShape(model["name"], model["hidden"], model["layers"])
    own = [run for run in case["runs"] if run["side"] == "ours"]
    tokens = sum(run["tokens"] for run in own) / sum(run["steps"] for run in own)
    generation, update = least_operations(shape, tokens)
    return generation / rate, update / rate
