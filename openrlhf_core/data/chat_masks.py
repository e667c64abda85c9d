"""Finds the assistant's turns in one full render of a chat, so that the loss can be put on them.

A turn is what the model has to write after the generation prompt: the content as the template
shows it, tool calls and what the template adds included, and the token that ends the turn. Turns
are found by rendering the chat again with a mark in place of one of them: where the two texts
differ, there the turn is. So it does not matter whether the template trims contents, leaves out
old reasoning or repeats the prompt; the tokens always come from the one full render.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from openrlhf_core.data.chat_template import RENDER_ERRORS, ChatTemplate
from openrlhf_core.data.messages import Message
from openrlhf_core.data.turn_conventions import CLOSING, TurnConventions, learn_conventions

Span = tuple[int, int]
"""Characters [start, end) of a text."""


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
        chat = _Chat(self.template, self.conventions, self._ready(messages, turns), turns)
        spans = chat.spans()
        if chat.tagged is not None:
            return MarkedText(chat.text, _shared(spans, chat.tagged, chat.text, self.conventions))
        return self._closed(MarkedText(chat.text, spans), messages, turns)

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


class _Chat:
    """One chat while its turns are looked for."""

    def __init__(
        self,
        template: ChatTemplate,
        conventions: TurnConventions,
        messages: list[Message],
        turns: Sequence[int],
    ) -> None:
        self._template = template
        self._conventions = conventions
        self._messages = messages
        self._turns = turns
        self.text, self.tagged = template.apply_tagged(messages)
        self.text.encode("utf-8")  # half a surrogate pair is no text: UnicodeEncodeError
        self._mark = next(chr(i) for i in range(0xE000, 0xF900) if chr(i) not in self.text)

    def spans(self) -> tuple[Span, ...]:
        """Each turn from behind its header to behind its end token."""
        bodies = self._unchanged_bodies()
        if bodies is None:
            found = [self._changed_body(turn) for turn in self._turns]
            bodies = [body for body in found if body is not None]
        spans: list[Span] = []
        for start, end in bodies:
            least = spans[-1][1] if spans else 0
            spans.append((self._behind_header(start, least), self._behind_end_token(end)))
        return tuple(spans)

    def _unchanged_bodies(self) -> list[Span] | None:
        """Where the contents stand, if the template shows them as they are or stripped, else None.

        One render is enough for all turns: with the contents in the place of the marks it must
        give the full text again.
        """
        contents = [self._messages[turn]["content"] for turn in self._turns]
        if not all(isinstance(content, str) for content in contents):
            return None
        names = [f"{self._mark}{number}{self._mark}" for number in range(len(contents))]
        replaced = {
            turn: _text_of(self._messages[turn], name)
            for turn, name in zip(self._turns, names, strict=True)
        }
        marked = self._render_with(replaced)
        if marked is None or any(marked.count(name) != 1 for name in names):
            return None
        for shown in (contents, [content.strip() for content in contents]):
            text, bodies = _filled(marked, names, shown)
            if text == self.text:
                return bodies
        return None

    def _changed_body(self, turn: int) -> Span | None:
        """Where the full text differs from the one with a mark as this turn; None: nowhere."""
        message = self._messages[turn]
        marked = self._render_with({turn: _text_of(message, self._mark)})
        if marked is None:  # it may want the calls that the tool's answer belongs to
            marked = self._render_with({turn: _with_strings(message, self._mark * 9)})
        if marked is None:
            raise ValueError(
                f"the assistant's turn in chat message {turn + 1} cannot be found: the chat "
                "template refuses the chat with another text there"
            )
        if marked == self.text:
            return None
        start = _common_length(self.text, marked)
        return start, max(start, len(self.text) - _common_length(self.text[::-1], marked[::-1]))

    def _render_with(self, replaced: Mapping[int, Message]) -> str | None:
        """The text with other messages at some indices; None: the template refuses them."""
        messages = [replaced.get(i, message) for i, message in enumerate(self._messages)]
        try:
            return self._template.apply(messages)
        except RENDER_ERRORS:
            return None

    def _behind_header(self, start: int, least: int) -> int:
        """Where the turn's header ends, which stands before its content and behind `least`."""
        header = self._conventions.header
        found = self.text.rfind(header, least, start) if header else -1
        return start if found < 0 else found + len(header)

    def _behind_end_token(self, end: int) -> int:
        rest = self.text[end:]
        gap = len(rest) - len(rest.lstrip(CLOSING))
        for token in self._conventions.end_tokens:
            if rest.startswith(token, gap):
                return end + gap + len(token)
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


def _filled(marked: str, names: Sequence[str], contents: Sequence[str]) -> tuple[str, list[Span]]:
    """The text with contents in the place of names, and where each content stands in it."""
    text, bodies, rest = "", [], marked
    for name, content in zip(names, contents, strict=True):
        before, _, rest = rest.partition(name)
        text += before
        bodies.append((len(text), len(text) + len(content)))
        text += content
    return text + rest, bodies


def _text_of(message: Message, text: str) -> Message:
    """A message of the same role that is nothing but a text."""
    return {"role": message["role"], "content": text}


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
