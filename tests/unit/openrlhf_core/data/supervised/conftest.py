"""Makes samples of rows with a tokenizer of bytes and a ChatML template."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tokenizers_of_bytes import byte_tokenizer
from transformers import PreTrainedTokenizerFast

from openrlhf_core.data.encoding import Encoder
from openrlhf_core.data.supervised.maker import SampleMaker, make_samples
from openrlhf_core.data.supervised.renderer import TextRenderer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

MakeRenderer = Callable[..., TextRenderer]
MakeOne = Callable[..., Any]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, ChatML's special tokens, and `#` as a special token."""
    return byte_tokenizer(["<|im_start|>", "<|im_end|>", "#"], "<|im_end|>", CHATML)


@pytest.fixture
def make_renderer(tokenizer: PreTrainedTokenizerFast) -> MakeRenderer:
    def make(chat: bool = False, template: str | None = None) -> TextRenderer:
        return TextRenderer(tokenizer, chat, template, datetime(2026, 11, 25, tzinfo=UTC))

    return make


@pytest.fixture
def make_one() -> MakeOne:
    """What one row becomes: a sample, None or a BadRow."""

    def make(maker: SampleMaker[Any], row: dict[str, Any], max_length: int = 1000) -> Any:
        encoder = Encoder(maker.renderer.tokenizer)
        (made,) = make_samples(maker, encoder, [row], max_length)
        return made

    return make


@pytest.fixture
def read_trained(tokenizer: PreTrainedTokenizerFast) -> Callable[..., tuple[str, str]]:
    """(whole text, trained text) of token ids and a mask."""

    def read(token_ids: Any, mask: Any) -> tuple[str, str]:
        ids = (token_ids.tolist(), token_ids[mask].tolist())
        return str(tokenizer.decode(ids[0])), str(tokenizer.decode(ids[1]))

    return read
