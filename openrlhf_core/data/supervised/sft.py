"""Samples of SFT and distillation: whole chats, prompts with responses, or plain texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openrlhf_core.data.chat_masks import MarkedText
from openrlhf_core.data.reading.rows import Row
from openrlhf_core.data.supervised.maker import Encoded
from openrlhf_core.data.supervised.renderer import LossOn, TextRenderer, column
from openrlhf_core.objectives.sft import SFTSample


@dataclass(frozen=True)
class SFTMaker:
    """Makes a `SFTSample` of each row.

    With `messages` a row is a whole chat. Without it, it is a prompt and a response; without
    `response` too, a plain text in the column `prompt`, all of which is trained on
    (pre-training).
    """

    renderer: TextRenderer
    prompt: str
    response: str | None
    messages: str | None
    loss_on: LossOn
    """What of a chat is trained on. AllTokens: all of a prompt and its response, too."""

    @property
    def sample_type(self) -> type[SFTSample]:
        """The class of the samples."""
        return SFTSample

    @property
    def settings(self) -> dict[str, Any]:
        """The columns, and what of them is trained on."""
        return {
            "kind": "SFT",
            "prompt": self.prompt,
            "response": self.response,
            "messages": self.messages,
            "loss_on": self.loss_on,
        }

    def texts(self, row: Row) -> tuple[MarkedText, ...]:
        """The one text of a row."""
        if self.messages is not None:
            chat = column(row, self.messages, "data.keys.messages")
            return (self.renderer.chat(chat, self.loss_on),)
        prompt = column(row, self.prompt, "data.keys.prompt")
        if self.response is None:
            return (self.renderer.whole(prompt),)
        marked = self.renderer.response(prompt, column(row, self.response, "data.keys.response"))
        if self.loss_on == "AllTokens":
            marked = MarkedText(marked.text, ((0, len(marked.text)),))
        return (marked,)

    def sample(self, row: Row, encoded: Sequence[Encoded], max_length: int) -> SFTSample | None:
        """The text as tokens; ValueError when there is nothing to train on."""
        (text,) = encoded
        if not text.loss_mask.any():
            raise ValueError("no token of it is trained on; the template leaves out its turns")
        kept = text.cut(max_length)
        return None if kept is None else SFTSample(kept.token_ids, kept.loss_mask)
