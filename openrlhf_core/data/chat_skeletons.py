"""Finds contents in a rendered chat by the texts that the template puts around them.

Chats with the same roles have the same texts around their contents, with most templates. They are
rendered once for each sequence of roles, with marks in the place of the contents.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from openrlhf_core.data.chat_template import RENDER_ERRORS, ChatTemplate
from openrlhf_core.data.messages import Message

Span = tuple[int, int]
"""Characters [start, end) of a text."""

MARK = "\ue000"
MOST_KEPT = 256


@dataclass(frozen=True)
class Skeletons:
    """The texts around contents that a template is known for."""

    template: ChatTemplate
    _kept: dict[tuple[str, ...], list[str] | None] = field(default_factory=dict)

    def bodies(self, messages: Sequence[Message], text: str) -> list[Span] | None:
        """Where each message's content stands in the chat's text.

        None: the messages are more than roles and texts, or the template does not show the texts
        as they are or stripped. It is tried: with the contents in their places the text around
        them must give the full text again.
        """
        if not all(
            isinstance(message["content"], str) and len(message) == 2 for message in messages
        ):
            return None
        pieces = self._pieces(tuple(message["role"] for message in messages))
        contents = [message["content"] for message in messages]
        for shown in (contents, [content.strip() for content in contents]):
            bodies = None if pieces is None else _filled(pieces, shown, text)
            if bodies is not None:
                return bodies
        return None

    def _pieces(self, roles: tuple[str, ...]) -> list[str] | None:
        """The texts before, between and behind the contents; None: contents are not shown once."""
        if roles not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[roles] = self._learned(roles)
        return self._kept[roles]

    def _learned(self, roles: tuple[str, ...]) -> list[str] | None:
        names = [f"{MARK}{number}{MARK}" for number in range(len(roles))]
        try:
            rest = self.template.apply(
                [{"role": role, "content": name} for role, name in zip(roles, names, strict=True)]
            )
        except RENDER_ERRORS:
            return None
        if any(rest.count(name) != 1 for name in names):
            return None
        pieces = []
        for name in names:
            before, found, rest = rest.partition(name)
            if not found:
                return None
            pieces.append(before)
        return [*pieces, rest]


def _filled(pieces: Sequence[str], contents: Sequence[str], text: str) -> list[Span] | None:
    """Where the contents stand between the pieces; None when that does not give the text."""
    bodies, end = [], 0
    for piece, content in zip(pieces, contents, strict=False):
        start = end + len(piece)
        if not text.startswith(piece, end) or not text.startswith(content, start):
            return None
        end = start + len(content)
        bodies.append((start, end))
    return bodies if text[end:] == pieces[-1] else None
