"""Turns the columns of a row into one text, with the parts that are trained on marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from openrlhf_core.data.chat_masks import MarkedText, TurnMarker
from openrlhf_core.data.chat_template import ChatTemplate
from openrlhf_core.data.messages import Message, read_messages
from openrlhf_core.data.reading.rows import Row

LossOn = Literal["AssistantTurns", "LastAssistantTurn", "AllTokens"]


@dataclass(frozen=True)
class TextRenderer:
    """How the manifest wants rows to become texts. Made by a recipe, read by makers of samples."""

    tokenizer: PreTrainedTokenizerBase
    apply_chat_template: bool
    """Whether texts and messages become chats. Without it a row holds texts only."""
    input_template: str | None
    """Text around a prompt that is no chat; `{}` stands for the prompt."""
    now: datetime
    """When the run began: what a chat template gets that asks for the time."""

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the texts, besides rows, tokenizer and time."""
        return {
            "apply_chat_template": self.apply_chat_template,
            "input_template": self.input_template,
        }

    @property
    def shows_time(self) -> bool:
        """Whether the time may stand in the texts."""
        return self.apply_chat_template and self._marker.template.asks_for_time

    def response(self, prompt: Any, response: Any) -> MarkedText:
        """A prompt with its response; the response and the end token are marked.

        Each is a text, or, for a chat template, a list of messages. A response of several
        messages, as tool calls and their results, is marked at its assistant's messages. It may
        be the whole chat, that is, begin with the prompt's messages.
        """
        if self.apply_chat_template:
            begin, answer = _as_messages(prompt, "user"), _as_messages(response, "assistant")
            chat = answer if answer[: len(begin)] == begin else begin + answer
            return self._marked_turns(chat, range(len(begin), len(chat)))
        asked = self._text_of(prompt, "prompt")
        if self.input_template is not None:
            asked = self.input_template.replace("{}", asked)
        text = asked + self._ended(self._text_of(response, "response"))
        text.encode("utf-8")
        return MarkedText(text, ((len(asked), len(text)),))

    def chat(self, messages: Any, loss_on: LossOn) -> MarkedText:
        """A whole chat; its assistant's turns are marked, the last one alone, or everything."""
        if not self.apply_chat_template:
            raise ValueError("the row is a chat; set data.applyChatTemplate: true")
        chat = read_messages(messages)
        if loss_on == "AllTokens":
            return self._marked_whole(self._marker.template.render(chat))
        marked = range(_last_assistant(chat) if loss_on == "LastAssistantTurn" else 0, len(chat))
        return self._marked_turns(chat, marked)

    def continuation(self, messages: Any, num_shared: int) -> MarkedText:
        """A whole chat, marked at its assistant's turns behind the first `num_shared` messages."""
        chat = read_messages(messages)
        return self._marked_turns(chat, range(num_shared, len(chat)))

    def ended(self, text: Any) -> MarkedText:
        """A text that is trained on whole, with the end token behind it."""
        return self._marked_whole(self._ended(self._text_of(text, "text")))

    def whole(self, text: Any) -> MarkedText:
        """A text that is trained on from its beginning to its end; no end token is put there."""
        return self._marked_whole(self._text_of(text, "text"))

    @cached_property
    def _marker(self) -> TurnMarker:
        return TurnMarker(ChatTemplate(self.tokenizer, self.now))

    def _marked_turns(self, chat: Sequence[Message], candidates: range) -> MarkedText:
        turns = [i for i in candidates if chat[i]["role"] == "assistant"]
        if not turns:
            raise ValueError("the chat has no message of the assistant to learn; add one")
        return self._marker.mark(chat, turns)

    def _marked_whole(self, text: str) -> MarkedText:
        text.encode("utf-8")
        return MarkedText(text, ((0, len(text)),))

    def _ended(self, text: str) -> str:
        eos = str(self.tokenizer.eos_token)
        return text if text.endswith(eos) else text + eos

    def _text_of(self, value: Any, name: str) -> str:
        if isinstance(value, list):
            raise ValueError(f"the {name} is a list of messages; set data.applyChatTemplate: true")
        if not isinstance(value, str):
            raise ValueError(f"the {name} is {_kind(value)}, not a text; fix it")
        return value


def column(row: Row, key: str, field: str) -> Any:
    """A column that must be there; `field` is the manifest's field that names it."""
    if key not in row:
        known = ", ".join(map(repr, row)) or "none"
        raise ValueError(
            f"no column {key!r} (there are: {known}); add it, or name another in {field}"
        )
    value = row[key]
    if value is None or value in ("", []):
        raise ValueError(f"{key!r} is {'null' if value is None else 'empty'}; fill it in")
    return value


def _as_messages(value: Any, role: str) -> list[Message]:
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    return read_messages(value)


def _last_assistant(chat: Sequence[Message]) -> int:
    places = [i for i, message in enumerate(chat) if message["role"] == "assistant"]
    return places[-1] if places else 0


def _kind(value: Any) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"
