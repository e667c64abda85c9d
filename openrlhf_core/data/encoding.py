"""Token ids of texts: special tokens in front once, none behind, none that the model lacks."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from openrlhf_core.data.chat_masks import MarkedText
from openrlhf_core.spec.exit_codes import ConfigurationError


class Encoder:
    """Tokenises texts in batches. Made by whoever turns rows into prompts or samples."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        # The Rust tokenizer is asked itself: it takes a third of the time when it need not say
        # where in the text each token stands.
        self._rust: Any = getattr(tokenizer, "backend_tokenizer", None)
        if self._rust is not None:
            self._rust.no_truncation()
            self._rust.no_padding()
        self._prefix = _special_prefix(tokenizer)
        self._num_embeddings = embedding_rows(Path(tokenizer.name_or_path))

    def encode(self, texts: Sequence[str], add_prefix: bool) -> list[np.ndarray]:
        """Token ids of each text, int32.

        `add_prefix`: the special tokens that the tokenizer puts in front of a text, as <bos>, are
        added where the text does not begin with them already. A chat template writes its own.
        """
        found = self._ids(list(texts))
        return [self._with_prefix(ids) for ids in found] if add_prefix else found

    def encode_marked(
        self, texts: Sequence[MarkedText], add_prefix: bool
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Token ids (int32) and loss mask (bool) of each text.

        A token is trained on when it holds a character of a span, also when it begins before it.
        The first token never is: nothing predicts it.
        """
        encodings = self._exact.encode_batch([marked.text for marked in texts], False)
        return [
            self._masked(encoding, marked, add_prefix)
            for encoding, marked in zip(encodings, texts, strict=True)
        ]

    @cached_property
    def _exact(self) -> Any:
        """A copy that says exactly where each token stands: post-processors leave blanks out."""
        if self._rust is None:
            raise ConfigurationError(
                f"{self._tokenizer.name_or_path}: the tokenizer does not say where in the text a "
                "token stands; this recipe needs one with a tokenizer.json"
            )
        copy = Tokenizer.from_str(self._rust.to_str())
        copy.post_processor = None
        return copy

    def _masked(
        self, encoding: Any, marked: MarkedText, add_prefix: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = np.asarray(encoding.ids, dtype=np.int32)
        mask = np.zeros(len(ids), dtype=bool)
        for start, end in marked.spans:
            first, last = _tokens_of(encoding, start, end, len(marked.text))
            mask[first:last] = True
        whole = self._with_prefix(ids) if add_prefix else ids
        mask = np.concatenate([np.zeros(len(whole) - len(ids), dtype=bool), mask])
        mask[:1] = False
        return whole, mask

    def unknown_token(self, token_ids: np.ndarray) -> str | None:
        """What is wrong when a token has no row in the model's embedding; None: all have one."""
        if self._num_embeddings is None or not len(token_ids):
            return None
        largest = int(token_ids.max())
        if largest < self._num_embeddings:
            return None
        token = self._tokenizer.convert_ids_to_tokens(largest)
        return (
            f"the token {token!r} has id {largest}, and the model's embedding has only "
            f"{self._num_embeddings} rows; take the token out of the text or the template, or "
            "enlarge the model's embedding"
        )

    def _ids(self, texts: list[str]) -> list[np.ndarray]:
        if self._rust is None:
            found = self._tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        else:
            encodings = self._rust.encode_batch_fast(texts, add_special_tokens=False)
            found = [encoding.ids for encoding in encodings]
        return [np.asarray(ids, dtype=np.int32) for ids in found]

    def _with_prefix(self, ids: np.ndarray) -> np.ndarray:
        if np.array_equal(ids[: len(self._prefix)], self._prefix):
            return ids
        return np.concatenate([self._prefix, ids])


def _tokens_of(encoding: Any, start: int, end: int, length: int) -> tuple[int, int]:
    """The tokens [first, last) that hold a character of [start, end) of a text of `length`.

    Asks where the span begins and where the text goes on behind it, which is faster than to fetch
    the places of all tokens; a normalizer that drops characters leaves no answer.
    """
    if start >= end:
        return 0, 0
    first, behind = encoding.char_to_token(start), encoding.char_to_token(end)
    if first is not None and end == length:
        return first, len(encoding)
    if first is not None and behind is not None:
        return first, behind + (encoding.token_to_chars(behind)[0] < end)
    places = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    starts, ends = places[:, 0], np.maximum(places[:, 1], places[:, 0] + 1)
    found = np.flatnonzero((starts < end) & (ends > start))
    return (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)


def embedding_rows(directory: Path) -> int | None:
    """Rows of a model's embedding; None when config.json does not say: models.load judges it."""
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        text_config = config.get("text_config") or {}
        return int(config.get("vocab_size") or text_config["vocab_size"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of all that decides what texts and tokens the tokenizer makes."""
    rust: Any = getattr(tokenizer, "backend_tokenizer", None)
    digest = hashlib.sha256(type(tokenizer).__name__.encode())
    vocabulary = tokenizer.get_vocab() if rust is None else rust.to_str()
    for part in (vocabulary, tokenizer.special_tokens_map, tokenizer.chat_template):
        digest.update(json.dumps(part, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _special_prefix(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """The special tokens that the tokenizer puts in front of a text, int32."""
    with_special = tokenizer("a", verbose=False)["input_ids"]
    without = tokenizer("a", add_special_tokens=False, verbose=False)["input_ids"]
    if without:
        length = next(_places_of(without, with_special), 0)
    else:  # it knows no "a": what is there is special, an end token aside
        length = len(with_special) - (with_special[-1:] == [tokenizer.eos_token_id])
    return np.asarray(with_special[:length], dtype=np.int32)


def _places_of(part: list[int], whole: list[int]) -> Iterator[int]:
    return (i for i in range(len(whole) - len(part) + 1) if whole[i : i + len(part)] == part)
