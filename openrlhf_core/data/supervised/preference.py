"""Samples of reward models and DPO: a response that is preferred to another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openrlhf_core.data.chat_masks import MarkedText
from openrlhf_core.data.messages import is_chat, read_messages
from openrlhf_core.data.reading.rows import Row
from openrlhf_core.data.supervised.maker import Encoded
from openrlhf_core.data.supervised.renderer import TextRenderer, column
from openrlhf_core.data.supervised.samples import PairSample


@dataclass(frozen=True)
class PreferenceMaker:
    """Makes a `PairSample` of each row.

    With `prompt` a row holds a prompt and two responses. Without it, two whole chats, whose equal
    first messages are the prompt; or two whole texts.
    """

    renderer: TextRenderer
    prompt: str | None
    chosen: str
    rejected: str
    margin: str | None
    """Column with a number; None: every margin is 0."""

    @property
    def sample_type(self) -> type[PairSample]:
        """The class of the samples."""
        return PairSample

    @property
    def settings(self) -> dict[str, Any]:
        """The columns."""
        return {
            "kind": "Preference",
            "prompt": self.prompt,
            "chosen": self.chosen,
            "rejected": self.rejected,
            "margin": self.margin,
        }

    def texts(self, row: Row) -> tuple[MarkedText, ...]:
        """The preferred text, then the other."""
        chosen = column(row, self.chosen, "data.keys.chosen")
        rejected = column(row, self.rejected, "data.keys.rejected")
        if self.prompt is not None:
            prompt = column(row, self.prompt, "data.keys.prompt")
            return tuple(self.renderer.response(prompt, one) for one in (chosen, rejected))
        if not self.renderer.apply_chat_template:
            return tuple(self.renderer.ended(one) for one in (chosen, rejected))
        if not is_chat(chosen) or not is_chat(rejected):
            raise ValueError(
                f"{self.chosen!r} and {self.rejected!r} are not lists of messages; name the column "
                "of the prompt in data.keys.prompt"
            )
        shared = _num_shared(chosen, rejected)
        return tuple(self.renderer.continuation(one, shared) for one in (chosen, rejected))

    def sample(self, row: Row, encoded: Sequence[Encoded], max_length: int) -> PairSample | None:
        """The pair as tokens; None when either response has no token left."""
        chosen, rejected = (text.cut(max_length) for text in encoded)
        margin = self._margin(row)
        if chosen is None or rejected is None:
            return None
        return PairSample(
            chosen.token_ids, chosen.loss_mask, rejected.token_ids, rejected.loss_mask, margin
        )

    def _margin(self, row: Row) -> float:
        if self.margin is None:
            return 0.0
        value = column(row, self.margin, "data.keys.margin")
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if isinstance(value, bool) or not math.isfinite(number):
            raise ValueError(f"{self.margin!r} is {value!r}, not a number; fix it")
        return number


def _num_shared(chosen: Any, rejected: Any) -> int:
    """How many messages two chats begin with in common; at least one of each remains."""
    first, second = read_messages(chosen), read_messages(rejected)
    shared = 0
    while shared < min(len(first), len(second)) - 1 and first[shared] == second[shared]:
        shared += 1
    return shared
