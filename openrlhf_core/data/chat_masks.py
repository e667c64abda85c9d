"""Marks the assistant's turns in one full render of a chat, so that the loss can be put on them.

A turn is what the model has to write after the generation prompt: the content as the template
shows it, tool calls and what the template adds included, and the token that ends the turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from openrlhf_core.data.chat_skeletons import Skeletons, Span
from openrlhf_core.data.chat_template import ChatTemplate
from openrlhf_core.data.chat_turns import RenderedChat
from openrlhf_core.data.messages import Message
from openrlhf_core.data.turn_conventions import CLOSING, TurnConventions, learn_conventions


@dataclass(frozen=True)
class MarkedText:
    """A text and the parts of it that are trained on. Made by the makers of samples.

    Example: MarkedText("Q: 2+3\\nA: 5<eos>", spans=((10, 16),))
    """

    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class TurnMarker:
    """Marks turns in chats that one template renders. What it learns of the template is kept."""

    template: ChatTemplate

    @cached_property
    def conventions(self) -> TurnConventions:
        """How the template begins and ends turns."""
        return learn_conventions(self.template)

    def mark(self, messages: Sequence[Message], turns: Sequence[int]) -> MarkedText:
        """The chat's text with the assistant's messages at the indices `turns` as spans.

        One of `RENDER_ERRORS` when the template refuses the chat.
        """
        ready = self._ready(messages, turns)
        text, tagged = self.template.apply_tagged(ready)
        text.encode("utf-8")  # half a surrogate pair is no text: UnicodeEncodeError
        chat = RenderedChat(self.template, ready, text)
        spans = self._spans(text, chat.bodies(turns, self._skeletons))
        if tagged is not None:
            return MarkedText(text, _shared(spans, tagged, text, self.conventions))
        return self._closed(MarkedText(text, spans), messages, turns)

    @cached_property
    def _skeletons(self) -> Skeletons:
        return Skeletons(self.template)

    def _ready(self, messages: Sequence[Message], turns: Sequence[int]) -> list[Message]:
        """The messages as the template gets them, less the end tokens that it writes itself."""
        ready = self.template.settled(messages)
        for turn in turns if self.conventions.writes_end else ():
            content = ready[turn]["content"]
            if isinstance(content, str):
                for token in self.conventions.end_tokens:
                    content = content.removesuffix(token)
                ready[turn] = {**ready[turn], "content": content}
        return ready

    def _closed(
        self, marked: MarkedText, messages: Sequence[Message], turns: Sequence[int]
    ) -> MarkedText:
        """Puts the end token behind a last turn that the template leaves open."""
        is_last = bool(marked.spans) and turns[-1] == len(messages) - 1
        if not is_last:
            return marked
        start, end = marked.spans[-1]
        is_closed = marked.text[start:end].endswith(self.conventions.end_tokens)
        if is_closed or marked.text[end:].strip():
            return marked
        text = marked.text + str(self.template.tokenizer.eos_token)
        return MarkedText(text, (*marked.spans[:-1], (start, len(text))))

    def _spans(self, text: str, bodies: Sequence[Span]) -> tuple[Span, ...]:
        """Each turn from behind its header to behind its end token."""
        spans: list[Span] = []
        for start, end in bodies:
            least = spans[-1][1] if spans else 0
            spans.append(
                (self._behind_header(text, start, least), self._behind_end_token(text, end))
            )
        return tuple(spans)

    def _behind_header(self, text: str, start: int, least: int) -> int:
        """Where the turn's header ends, which stands before its content and behind `least`."""
        header = self.conventions.header
        found = text.rfind(header, least, start) if header else -1
        return start if found < 0 else found + len(header)

    def _behind_end_token(self, text: str, end: int) -> int:
        place = end
        while place < len(text) and text[place] in CLOSING:
            place += 1
        for token in self.conventions.end_tokens:
            if text.startswith(token, place):
                return place + len(token)
        return end


def _shared(
    spans: Sequence[Span], tagged: Sequence[Span], text: str, conventions: TurnConventions
) -> tuple[Span, ...]:
    """The parts of the spans that the template's tags hold, and end tokens right behind them."""
    shared = []
    for start, end in spans:
        for tag_start, tag_end in tagged:
            first, last = max(start, tag_start), min(end, tag_end)
            if first < last:
                close = [len(t) for t in conventions.end_tokens if text.startswith(t, last)]
                shared.append((first, min(end, last + max(close, default=0))))
    return tuple(shared)
