"""What one row of a dataset of preferences, of KTO or of step labels becomes.

Made by the makers of samples, read by recipes. The sample of SFT is in `objectives.sft`.

As everywhere, index t of a mask is about token t; the first token is never trained on, since
nothing predicts it. Rows longer than `maxLength` are cut at their end; no end token is put there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32


@dataclass(frozen=True, eq=False)
class TextSample:
    """A text and which of its tokens count.

    Example: TextSample(token_ids=[7, 9, 8, 5, 11, 1], loss_mask=[0, 0, 0, 0, 1, 1])
    """

    token_ids: Int32[np.ndarray, "seq"]
    loss_mask: Bool[np.ndarray, "seq"]


@dataclass(frozen=True, eq=False)
class PairSample:
    """Two responses to one prompt, the first of which is preferred: reward models, DPO.

    Example: PairSample(chosen_ids=[7, 9, 5, 1], chosen_mask=[0, 0, 1, 1],
    rejected_ids=[7, 9, 6, 6, 1], rejected_mask=[0, 0, 1, 1, 1], margin=0.5)
    """

    chosen_ids: Int32[np.ndarray, "chosen"]
    chosen_mask: Bool[np.ndarray, "chosen"]
    """True at the tokens of the response."""
    rejected_ids: Int32[np.ndarray, "rejected"]
    rejected_mask: Bool[np.ndarray, "rejected"]
    margin: float
    """By how much the first is better, for losses with a margin; 0 where the data has none."""


@dataclass(frozen=True, eq=False)
class UnpairedSample:
    """A response that is wanted or not: KTO.

    Example: UnpairedSample(token_ids=[7, 9, 5, 1], loss_mask=[0, 0, 1, 1], is_desirable=True)
    """

    token_ids: Int32[np.ndarray, "seq"]
    loss_mask: Bool[np.ndarray, "seq"]
    """True at the tokens of the response."""
    is_desirable: bool


@dataclass(frozen=True, eq=False)
class StepSample:
    """A solution with a label after each of its steps: process reward models.

    Example, placeholder 4, label tokens + (2) and - (3), labels ["+", "-"]:
    StepSample(token_ids=[7, 4, 8, 4], step_positions=[1, 3], label_ids=[2, 3],
    label_probabilities=[1, 1]). Soft labels [0.9, 0.2]: label_ids=[2, 2],
    label_probabilities=[0.9, 0.2]; the rest is the probability of the other label token.
    """

    token_ids: Int32[np.ndarray, "seq"]
    step_positions: Int32[np.ndarray, "steps"]
    """Index of the placeholder token of each labelled step; steps without a label are left out."""
    label_ids: Int32[np.ndarray, "steps"]
    """Token id of the label."""
    label_probabilities: Float32[np.ndarray, "steps"]
    """How probable this label is; 1 for a hard label."""


def mismatched(samples: Sequence[UnpairedSample], max_length: int) -> list[TextSample]:
    """Each prompt with the next sample's response, from which KTO estimates the KL divergence.

    The last prompt gets the first response. One sample alone has no mismatched pair.
    """
    if len(samples) < 2:
        return []
    others = [*samples[1:], samples[0]]
    return [_joined(one, other, max_length) for one, other in zip(samples, others, strict=True)]


def _joined(one: UnpairedSample, other: UnpairedSample, max_length: int) -> TextSample:
    end, begin = int(one.loss_mask.argmax()), int(other.loss_mask.argmax())
    ids = np.concatenate([one.token_ids[:end], other.token_ids[begin:]])
    mask = np.concatenate([one.loss_mask[:end], other.loss_mask[begin:]])
    return TextSample(ids[:max_length], mask[:max_length])
