"""Computes the learning rate of an optimizer step from its number."""

import math
from typing import Literal

Schedule = Literal["Constant", "Cosine", "Linear"]


def learning_rate(
    step: int,
    total_steps: int,
    *,
    highest: float,
    schedule: Schedule,
    warmup_ratio: float,
    minimum_ratio: float,
) -> float:
    """Returns the learning rate of optimizer step `step` (from 0) of `total_steps`.

    Warmup lasts w = ceil(warmup_ratio x total_steps) steps, with the rate highest x (step + 1) / w.
    Then the rate stays (Constant), or falls along a cosine or a line to minimum_ratio x highest at
    the last step. Steps beyond `total_steps` keep the rate of the last step.
    """
    warmup_steps = math.ceil(warmup_ratio * total_steps)
    if step < warmup_steps:
        return highest * (step + 1) / warmup_steps
    if schedule == "Constant":
        return highest
    progress = min((step - warmup_steps) / max(total_steps - 1 - warmup_steps, 1), 1.0)
    falling = 1.0 - progress if schedule == "Linear" else 0.5 * (1 + math.cos(math.pi * progress))
    return highest * (minimum_ratio + (1.0 - minimum_ratio) * falling)
