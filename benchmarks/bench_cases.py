"""What is compared: models, lengths and settings, the same for both sides."""

from dataclasses import dataclass
from typing import Literal

Design = Literal["B1", "B2"]
Side = Literal["ours", "trl"]

VOCABULARY = 128
HEAD_DIM = 32
NUM_PROMPTS = 8
GROUP_SIZE = 8
PROMPT_TOKENS = 16
SAMPLES = NUM_PROMPTS * GROUP_SIZE
"""Completions of a step."""


@dataclass(frozen=True)
class ModelShape:
    """A Qwen2 with heads of 32, half as many key-value heads, and tied embeddings."""

    name: str
    hidden: int
    layers: int

    @property
    def intermediate(self) -> int:
        return 2 * self.hidden

    @property
    def heads(self) -> int:
        return self.hidden // HEAD_DIM

    @property
    def key_value_heads(self) -> int:
        return self.heads // 2


MODELS = (ModelShape("0.3M", 128, 2), ModelShape("3.6M", 256, 6))


@dataclass(frozen=True)
class Case:
    """One comparison. B1: every completion has `max_tokens`; B2: it ends where the model ends it.

    A model with random weights over 128 tokens draws its end token with probability of about 1/128,
    so that lengths of B2 are geometric. Its learning rate is next to 0 to keep them so.
    """

    design: Design
    model: ModelShape
    max_tokens: int
    learning_rate: float
    own_micro_batch_tokens: int
    trl_micro_batch: int
    """Completions of a forward pass of TRL's; it has no token budget."""
    warmup_steps: int
    measured_steps: int

    @property
    def name(self) -> str:
        return f"{self.design}-{self.model.name}"

    @property
    def is_forced(self) -> bool:
        return self.design == "B1"

    @property
    def longest_sequence(self) -> int:
        return PROMPT_TOKENS + self.max_tokens


def make_case(design: Design, model: ModelShape) -> Case:
    """The settings of one comparison; a step of B2 is so long that few are enough."""
    if design == "B1":
        return Case(
            design,
            model,
            max_tokens=64,
            learning_rate=1e-3,
            own_micro_batch_tokens=16384,
            trl_micro_batch=64,
            warmup_steps=5,
            measured_steps=15,
        )
    is_small = model.hidden == 128
    return Case(
        design,
        model,
        max_tokens=512,
        learning_rate=1e-9,
        own_micro_batch_tokens=1024,
        trl_micro_batch=16,
        warmup_steps=2 if is_small else 1,
        measured_steps=6 if is_small else 2,
    )


CASES = {
    case.name: case for design in ("B1", "B2") for case in (make_case(design, m) for m in MODELS)
}
