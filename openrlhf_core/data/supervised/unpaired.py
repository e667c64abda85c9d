"""Samples of KTO: a response, and whether it is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openrlhf_core.data.chat_masks import MarkedText
from openrlhf_core.data.reading.rows import Row
from openrlhf_core.data.supervised.maker import Encoded
from openrlhf_core.data.supervised.renderer import TextRenderer, column
from openrlhf_core.data.supervised.samples import UnpairedSample

LABELS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


@dataclass(frozen=True)
class UnpairedMaker:
    """Makes an `UnpairedSample` of each row with a prompt, a response and a label."""

    renderer: TextRenderer
    prompt: str
    response: str
    label: str
    """Column with true or false, or 1 or 0."""

    @property
    def sample_type(self) -> type[UnpairedSample]:
        """The class of the samples."""
        return UnpairedSample

    @property
    def settings(self) -> dict[str, Any]:
        """The columns."""
        return {
            "kind": "Unpaired",
            "prompt": self.prompt,
            "response": self.response,
            "label": self.label,
        }

    def texts(self, row: Row) -> tuple[MarkedText, ...]:
        """The one text of a row."""
        prompt = column(row, self.prompt, "data.keys.prompt")
        response = column(row, self.response, "data.keys.response")
        return (self.renderer.response(prompt, response),)

    def sample(
        self, row: Row, encoded: Sequence[Encoded], max_length: int
    ) -> UnpairedSample | None:
        """The text as tokens, with its label."""
        label = column(row, self.label, "data.keys.label")
        is_desirable = LABELS.get(str(label).strip().lower())
        if is_desirable is None:
            raise ValueError(f"{self.label!r} is {label!r}; write true or false")
        text = encoded[0].cut(max_length)
        if text is None:
            return None
        return UnpairedSample(text.token_ids, text.loss_mask, is_desirable)
