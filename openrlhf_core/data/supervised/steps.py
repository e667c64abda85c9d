"""Samples of process reward models: a text with a placeholder after each step, and labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from openrlhf_core.data.chat_masks import MarkedText
from openrlhf_core.data.reading.rows import Row
from openrlhf_core.data.supervised.maker import Encoded
from openrlhf_core.data.supervised.renderer import TextRenderer, column
from openrlhf_core.data.supervised.samples import StepSample
from openrlhf_core.spec.exit_codes import ConfigurationError

Label = tuple[int, int, float]
"""(number of the step, token id, probability)"""


@dataclass(frozen=True)
class StepMaker:
    """Makes a `StepSample` of each row with a text and a list of labels, one a placeholder.

    A label is one of `label_tokens` (hard), a number from 0 to 1 (soft: the probability of the
    first of two label tokens), or null: the step has none.
    """

    renderer: TextRenderer
    text: str
    labels: str
    placeholder: str
    label_tokens: tuple[str, ...]
    """Empty: a hard label may be any token."""

    @property
    def sample_type(self) -> type[StepSample]:
        """The class of the samples."""
        return StepSample

    @property
    def settings(self) -> dict[str, Any]:
        """The columns and the tokens."""
        return {
            "kind": "Steps",
            "text": self.text,
            "labels": self.labels,
            "placeholder": self.placeholder,
            "label_tokens": self.label_tokens,
        }

    def __post_init__(self) -> None:
        for field, texts in (
            ("prm.placeholderToken", (self.placeholder,)),
            ("prm.labelTokens", self.label_tokens),
        ):
            for text in texts:
                if self._one_token(text) is None:
                    raise ConfigurationError(
                        f"{field}: {text!r} is not one token of this tokenizer; choose another"
                    )

    @cached_property
    def _placeholder_id(self) -> int | None:
        return self._one_token(self.placeholder)

    @cached_property
    def _label_ids(self) -> dict[str, int | None]:
        return {text: self._one_token(text) for text in self.label_tokens}

    def texts(self, row: Row) -> tuple[MarkedText, ...]:
        """The one text of a row. Nothing of it is marked: the loss is on the labels."""
        text = self.renderer.whole(column(row, self.text, "data.keys.prompt"))
        return (MarkedText(text.text, ()),)

    def sample(self, row: Row, encoded: Sequence[Encoded], max_length: int) -> StepSample | None:
        """The text as tokens, with the labels of the steps that are not cut off."""
        token_ids = encoded[0].token_ids
        places = np.flatnonzero(token_ids == self._placeholder_id)
        labels = column(row, self.labels, "data.keys.label")
        if not isinstance(labels, list) or len(labels) != len(places):
            count = f"{len(labels)} labels" if isinstance(labels, list) else "no list of labels"
            raise ValueError(
                f"{self.labels!r} has {count} for {len(places)} steps that end in "
                f"{self.placeholder!r}; give each step one"
            )
        found = [self._label(step, label) for step, label in enumerate(labels)]
        kept = [label for label in found if label is not None and places[label[0]] < max_length]
        if not any(found):
            raise ValueError(f"no step has a label in {self.labels!r}; add one")
        return _step_sample(token_ids[:max_length], places, kept) if kept else None

    def _label(self, step: int, label: Any) -> Label | None:
        if label is None:
            return None
        if isinstance(label, str):
            return step, self._hard(label), 1.0
        if isinstance(label, bool) or not isinstance(label, int | float) or not 0 <= label <= 1:
            raise ValueError(f"label {step + 1} is {label!r}, neither a token nor from 0 to 1")
        if len(self.label_tokens) != 2:
            raise ValueError(
                f"label {step + 1} is a number, which needs two tokens in prm.labelTokens"
            )
        return step, self._hard(self.label_tokens[0]), float(label)

    def _hard(self, label: str) -> int:
        if self.label_tokens and label not in self._label_ids:
            known = ", ".join(map(repr, self.label_tokens))
            raise ValueError(f"label {label!r} is none of prm.labelTokens ({known})")
        token = self._label_ids[label] if self.label_tokens else self._one_token(label)
        if token is None:
            raise ValueError(f"label {label!r} is not one token of this tokenizer; choose another")
        return token

    def _one_token(self, text: str) -> int | None:
        """The id of a text that is one token, else None."""
        ids = self.renderer.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return int(ids[0]) if len(ids) == 1 else None


def _step_sample(token_ids: np.ndarray, places: np.ndarray, labels: list[Label]) -> StepSample:
    steps, ids, probabilities = zip(*labels, strict=True)
    return StepSample(
        token_ids=token_ids,
        step_positions=places[list(steps)].astype(np.int32),
        label_ids=np.asarray(ids, dtype=np.int32),
        label_probabilities=np.asarray(probabilities, dtype=np.float32),
    )
