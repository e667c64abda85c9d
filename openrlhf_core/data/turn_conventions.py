"""What a chat template puts in front of an assistant's turn and behind it, learned by trying it."""

from collections.abc import Sequence
from dataclasses import dataclass

from openrlhf_core.data.chat_template import RENDER_ERRORS, ChatTemplate
from openrlhf_core.data.messages import Message

CLOSING = " \t\r\n\"'])}>"
"""What may stand between a turn's last characters and its end token."""

_ASKED, _ANSWERED = "\ue000", "\ue001"


@dataclass(frozen=True)
class TurnConventions:
    """How a template begins and ends an assistant's turn. Made by `learn_conventions`.

    Example, ChatML: header "<|im_start|>assistant\\n", end_tokens ("<|im_end|>",)
    """

    header: str
    """The generation prompt where turns begin with it, else empty."""
    end_tokens: tuple[str, ...]
    """Tokens that end a turn, and the tokenizer's own end token."""
    writes_end: bool
    """Whether the template writes an end token behind the last turn."""


def learn_conventions(template: ChatTemplate) -> TurnConventions:
    """Renders small chats; a template that refuses them is only known to use the eos token."""
    question: Message = {"role": "user", "content": _ASKED}
    answer: Message = {"role": "assistant", "content": _ANSWERED}
    eos = str(template.tokenizer.eos_token)
    prompt = _generation_prompt(template, question)
    try:
        short = template.apply([question, answer])
        long = template.apply([question, answer, question, answer])
    except RENDER_ERRORS:
        return TurnConventions("", (eos,), writes_end=False)
    specials = _special_tokens(template)
    last = _first_special(short.partition(_ANSWERED)[2], specials)
    ends = [eos, *last, *_inner_end(long, prompt, specials)]
    begins = short.partition(_ASKED)[2].partition(_ANSWERED)[0]
    return TurnConventions(
        header=prompt if prompt in begins else "",
        end_tokens=tuple(dict.fromkeys(ends)),
        writes_end=bool(last),
    )


def _generation_prompt(template: ChatTemplate, question: Message) -> str:
    try:
        bare = template.apply([question])
        prompted = template.apply([question], add_generation_prompt=True)
    except RENDER_ERRORS:
        return ""
    return prompted.removeprefix(bare) if prompted.startswith(bare) else ""


def _inner_end(text: str, prompt: str, specials: Sequence[str]) -> list[str]:
    """The token that ends a turn before the next message: one of several special tokens there,
    and not the one that begins a message."""
    between = text.partition(_ANSWERED)[2].partition(_ASKED)[0]
    first = _first_special(between, specials)
    if not first or first == _first_special(prompt, specials):
        return []
    rest = between.partition(first[0])[2]
    return first if any(token in rest for token in specials) else []


def _first_special(text: str, specials: Sequence[str]) -> list[str]:
    """The special token that a text begins with, in a list; none: an empty list."""
    begin = text.lstrip(CLOSING)
    return [token for token in specials if begin.startswith(token)][:1]


def _special_tokens(template: ChatTemplate) -> list[str]:
    """The texts of the tokenizer's special tokens, the longest first."""
    added = template.tokenizer.added_tokens_decoder.values()
    return sorted((str(token.content) for token in added if token.special), key=len, reverse=True)
