"""Finds where the assistant's messages stand in a chat's text.

Where the template shows contents as they are, `chat_skeletons` finds them. Else the chat is
rendered again with a mark in place of the turn: where the two texts differ, there the turn is. So
it does not matter whether the template trims contents, leaves out old reasoning or repeats the
prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openrlhf_core.data.chat_skeletons import Skeletons, Span
from openrlhf_core.data.chat_template import RENDER_ERRORS, ChatTemplate
from openrlhf_core.data.messages import Message


@dataclass(frozen=True)
class RenderedChat:
    """A chat and the text that its template makes of it."""

    template: ChatTemplate
    messages: list[Message]
    text: str

    def bodies(self, turns: Sequence[int], skeletons: Skeletons) -> list[Span]:
        """Where the messages at the indices `turns` stand; one that is not shown is left out."""
        everything = skeletons.bodies(self.messages, self.text)
        if everything is not None:
            return [everything[turn] for turn in turns]
        found = [self._changed_body(turn) for turn in turns]
        return [body for body in found if body is not None]

    def _changed_body(self, turn: int) -> Span | None:
        """Where the full text differs from the one with a mark as this turn; None: nowhere."""
        mark = next(chr(code) for code in range(0xE000, 0xF900) if chr(code) not in self.text)
        message = self.messages[turn]
        marked = self._render_with(turn, {"role": message["role"], "content": mark})
        if marked is None:  # it may want the calls that the tool's answer belongs to
            marked = self._render_with(turn, _with_strings(message, mark * 9))
        if marked is None:
            raise ValueError(
                f"the assistant's turn in chat message {turn + 1} cannot be found: the chat "
                "template refuses the chat with another text there"
            )
        if marked == self.text:
            return None
        start = _common_length(self.text, marked)
        return start, max(start, len(self.text) - _common_length(self.text[::-1], marked[::-1]))

    def _render_with(self, turn: int, message: Message) -> str | None:
        """The text with another message at an index; None: the template refuses it."""
        try:
            return self.template.apply([*self.messages[:turn], message, *self.messages[turn + 1 :]])
        except RENDER_ERRORS:
            return None


def _with_strings(value: Any, text: str) -> Any:
    """The same message, or part of one, with `text` as every text but role and type."""
    if isinstance(value, dict):
        kept = ("role", "type")
        return {k: v if k in kept else _with_strings(v, text) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_strings(item, text) for item in value]
    return text if isinstance(value, str) else value


def _common_length(first: str, second: str) -> int:
    """How many characters two texts begin with in common."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
