"""Renders chats with the model's template, always to the same text.

A template may ask for today's date or draw a random greeting. Here both are fixed: the date is
the one at which the run began, and the draw depends on the messages alone. So a run that is
resumed the next day trains on the same texts.
"""

import json
import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from openrlhf_core.data.messages import Message, with_text_contents
from openrlhf_core.spec.exit_codes import ConfigurationError

RENDER_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TemplateError,
    TypeError,
    ValueError,
)
"""What a template raises for messages that it cannot render: it is a program of the user's."""

_PROBE = "text-of-a-part"


@dataclass(frozen=True)
class ChatTemplate:
    """A tokenizer's chat template at a fixed moment. Made by whoever renders prompts or samples."""

    tokenizer: PreTrainedTokenizerBase
    now: datetime
    """What the template gets when it asks for the time."""

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        """The text of a chat; one of `RENDER_ERRORS` when the template refuses it.

        The template decides what it makes of a null content or of a list of parts. Two cases it
        would get silently wrong: parts are joined to one text where it would print them as a
        Python list, and a null content becomes an empty text where it would print `None`.
        """
        if not self._takes_parts:
            messages = with_text_contents(messages)
        text = self._apply(messages, add_generation_prompt)
        if "None" in text and any(message["content"] is None for message in messages):
            emptied = [{**m, "content": ""} if m["content"] is None else m for m in messages]
            plain = self._apply(emptied, add_generation_prompt)
            if plain.replace("None", "") == text.replace("None", ""):
                return plain
        return text

    @cached_property
    def source(self) -> str:
        """The template itself; ConfigurationError when the tokenizer has none."""
        template = self.tokenizer.chat_template
        if not template:
            raise ConfigurationError(
                "the tokenizer has no chat template; set model.policy.chatTemplate"
            )
        return template if isinstance(template, str) else json.dumps(template, sort_keys=True)

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether the template reads a content that is a list of parts."""
        parts = [{"type": "text", "text": _PROBE}]
        try:
            text = self._apply([{"role": "user", "content": parts}], False)
        except RENDER_ERRORS:
            return False
        return _PROBE in text and str(parts[0]) not in text and json.dumps(parts[0]) not in text

    @cached_property
    def _variables(self) -> dict[str, Any]:
        """Takes the place of functions of the same name that transformers gives to templates."""
        return {"strftime_now": self.now.strftime} if "strftime_now" in self.source else {}

    @cached_property
    def _draws(self) -> bool:
        return "random" in self.source or "lipsum" in self.source

    def _apply(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        with _fixed_draws(messages) if self._draws else nullcontext():
            return str(
                self.tokenizer.apply_chat_template(
                    list(messages),
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    **self._variables,
                )
            )


@contextmanager
def _fixed_draws(messages: Sequence[Message]) -> Iterator[None]:
    """Within, Jinja's `random` filter draws what the messages alone decide."""
    before = random.getstate()
    random.seed(zlib.crc32(json.dumps(messages, default=repr).encode()))
    try:
        yield
    finally:
        random.setstate(before)
