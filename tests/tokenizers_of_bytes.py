"""Tokenizers with one token for each byte, for tests that look at where tokens stand in texts."""

from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


def byte_tokenizer(
    specials: Sequence[str],
    eos: str,
    template: str | None = None,
    merges: Sequence[tuple[str, str]] = (),
) -> PreTrainedTokenizerFast:
    """Bytes are tokens 0 to 255 in no order, special tokens follow, then merged pairs."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *specials, *map("".join, merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(specials))
    make: Any = PreTrainedTokenizerFast  # it has no annotations
    tokenizer: PreTrainedTokenizerFast = make(tokenizer_object=made, eos_token=eos)
    tokenizer.chat_template = template
    return tokenizer
