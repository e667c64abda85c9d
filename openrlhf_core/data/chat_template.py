"""Renders chats with the model's template, always to the same text.

A template may ask for today's date or draw a random greeting. Here both are fixed: the date is
the one at which the run began, and the draw depends on the messages alone. So a run that is
resumed the next day trains on the same texts.
"""

import json
import random
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

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
        """The text of a chat; one of `RENDER_ERRORS` when the template refuses it."""
        return self.apply(self.settled(messages, add_generation_prompt), add_generation_prompt)

    def settled(
        self, messages: Sequence[Message], add_generation_prompt: bool = False
    ) -> list[Message]:
        """The messages as the template is to get them.

        The template decides what it makes of a null content or of a list of parts. Two cases it
        would get silently wrong: parts are joined to one text where it would print them as a
        Python list, and a null content becomes an empty text where it would print `None`.
        """
        kept = list(messages) if self._takes_parts else with_text_contents(messages)
        if all(message["content"] is not None for message in kept):
            return kept
        text = self.apply(kept, add_generation_prompt)
        emptied = [{**m, "content": ""} if m["content"] is None else m for m in kept]
        if "None" in text:
            plain = self.apply(emptied, add_generation_prompt)
            if plain.replace("None", "") == text.replace("None", ""):
                return emptied
        return kept

    def apply(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        """The text that the template makes of the messages as they are."""
        with self._fixed_draws(messages):
            return str(
                self.tokenizer.apply_chat_template(
                    list(messages),
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    **self._variables,
                )
            )

    def apply_tagged(self, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]] | None]:
        """The text, and what the template's `{% generation %}` tags hold of it, as [start, end).

        None: the template has no such tags.
        """
        if not self._has_tags:
            return self.apply(messages), None
        with self._fixed_draws(messages):
            render: Any = render_jinja_template  # its annotation names the text alone
            (text,), (spans,) = render(
                conversations=[list(messages)],
                chat_template=self.tokenizer.get_chat_template(),
                return_assistant_tokens_mask=True,
                **{**self.tokenizer.special_tokens_map, **self._variables},
            )
        return text, [(start, end) for start, end in spans]

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
    def asks_for_time(self) -> bool:
        """Whether the time may stand in the texts."""
        return "strftime_now" in self.source

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether the template reads a content that is a list of parts."""
        parts = [{"type": "text", "text": _PROBE}]
        try:
            text = self.apply([{"role": "user", "content": parts}])
        except RENDER_ERRORS:
            return False
        return _PROBE in text and str(parts[0]) not in text and json.dumps(parts[0]) not in text

    @cached_property
    def _variables(self) -> dict[str, Any]:
        """Takes the place of functions of the same name that transformers gives to templates."""
        return {"strftime_now": self.now.strftime} if self.asks_for_time else {}

    @cached_property
    def _has_tags(self) -> bool:
        return bool(re.search(r"\{%-?\s*generation\b", self.source))

    @cached_property
    def _draws(self) -> bool:
        return "random" in self.source or "lipsum" in self.source

    @contextmanager
    def _fixed_draws(self, messages: Sequence[Message]) -> Iterator[None]:
        """Within, Jinja's `random` filter draws what the messages alone decide."""
        if not self._draws:
            yield
            return
        before = random.getstate()
        random.seed(zlib.crc32(json.dumps(messages, default=repr).encode()))
        try:
            yield
        finally:
            random.setstate(before)
