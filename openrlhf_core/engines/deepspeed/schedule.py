"""The learning rate of each optimizer step, a pure function of the step's number."""

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
    """Learning rate of optimizer step `step` (from 0) of `total_steps`.

    It rises over the first ceil(warmup_ratio x total_steps) steps, w of them, as (step + 1) / w;
    then stays (Constant) or falls from `highest` to minimum_ratio x highest, which the last step
    has, along a cosine or a line. A step past the end has the last step's.
    """
    warmup_steps = math.ceil(warmup_ratio * total_steps)
    if step < warmup_steps:
        return highest * (step + 1) / warmup_steps
    if schedule == "Constant":
        return highest
    progress = min((step - warmup_steps) / max(total_steps - 1 - warmup_steps, 1), 1.0)
    falling = 1.0 - progress if schedule == "Linear" else 0.5 * (1 + math.cos(math.pi * progress))
    return highest * (minimum_ratio + (1.0 - minimum_ratio) * falling)
