"""Prompts of a dataset: its rows rendered, tokenised, and left out when they are too long."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from openrlhf_core.data.encoding import Encoder, tokenizer_digest
from openrlhf_core.data.messages import is_chat, without_nulls
from openrlhf_core.data.prompt_texts import render_prompts
from openrlhf_core.data.reading.datasets import open_dataset
from openrlhf_core.data.reading.rows import PlacedRow, Row
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.data import DatasetSpec, DataSpec

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 4096

OnProgress = Callable[[str, int, int], None]
"""Called with (dataset, rows done, rows in all) while prompts are tokenised."""


@dataclass(frozen=True, eq=False)
class PromptDataset:
    """The prompts of one dataset that are short enough. Made by `load_prompts`, read by prompts."""

    name: str
    weight: float
    texts: list[str]
    token_ids: np.ndarray
    """int32 [all tokens]: the prompts laid end to end."""
    ends: np.ndarray
    """int64 [prompt]: where each prompt ends in `token_ids`."""
    labels: list[Any]
    columns: list[Mapping[str, Any]]
    num_left_out: int
    """Prompts longer than `promptMaxLength`."""
    digest: str
    """SHA-256 of what the prompts are made from: rows, templates, tokenizer. Not of the texts: a
    template may write today's date into them."""

    def __len__(self) -> int:
        return len(self.texts)

    def prompt_ids(self, row: int) -> np.ndarray:
        """Token ids of a prompt, int32 [prompt]."""
        start = self.ends[row - 1] if row else 0
        return self.token_ids[start : self.ends[row]]

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return int(np.diff(self.ends, prepend=0).max())


def load_prompts(
    data: DataSpec,
    tokenizer: PreTrainedTokenizerBase,
    locator: Locator,
    on_progress: OnProgress | None = None,
    now: datetime | None = None,
) -> list[PromptDataset]:
    """The training prompts of every dataset.

    `now` is the time that a chat template gets if it asks for it; None: the present. A resumed
    run hands in when it began. ConfigurationError names the file, the row and the fix: a missing
    column, an empty prompt, a row that the template cannot render, a token that the model has not,
    a dataset of which no row is left.
    """
    moment = now or datetime.now().astimezone()
    encoder = Encoder(tokenizer)
    basis = _rendering_digest(data, tokenizer)
    loaded = []
    for spec in data.train:
        rows = list(open_dataset(spec, locator))
        if not rows:
            raise ConfigurationError(f"{_named(spec)} has no row; give it at least one")
        texts = render_prompts(rows, data, tokenizer, moment)
        token_ids = _tokenise(texts, rows, data, encoder, _counter(spec, len(rows), on_progress))
        read = _ReadPrompts(rows, texts, token_ids)
        loaded.append(_prompt_dataset(spec, data, read, _rows_digest(basis, rows)))
    return loaded


@dataclass(frozen=True, eq=False)
class _ReadPrompts:
    """All rows of a dataset, each with its prompt."""

    rows: list[PlacedRow]
    texts: list[str]
    token_ids: list[np.ndarray]


def _prompt_dataset(
    spec: DatasetSpec, data: DataSpec, read: _ReadPrompts, digest: str
) -> PromptDataset:
    """The prompts that are short enough, with their labels and columns."""
    limit, rows, token_ids = data.prompt_max_length, read.rows, read.token_ids
    kept = [i for i, ids in enumerate(token_ids) if len(ids) <= limit]
    _report_left_out(spec, token_ids, len(kept), limit)
    return PromptDataset(
        name=spec.name,
        weight=spec.weight,
        texts=[read.texts[i] for i in kept],
        token_ids=np.concatenate([token_ids[i] for i in kept]),
        ends=np.cumsum([len(token_ids[i]) for i in kept], dtype=np.int64),
        labels=[_label(rows[i], data.keys.label) for i in kept],
        columns=[_other_columns(rows[i].row, data.keys.prompt) for i in kept],
        num_left_out=len(rows) - len(kept),
        digest=digest,
    )


def _tokenise(
    texts: Sequence[str],
    rows: Sequence[PlacedRow],
    data: DataSpec,
    encoder: Encoder,
    count: Callable[[int], None],
) -> list[np.ndarray]:
    """Token ids of each text, int32. Only a chat template writes the special tokens itself."""
    token_ids: list[np.ndarray] = []
    for start in range(0, len(texts), ROWS_AT_ONCE):
        chunk = texts[start : start + ROWS_AT_ONCE]
        found = encoder.encode(chunk, add_prefix=not data.apply_chat_template)
        for row, text, ids in zip(rows[start:], chunk, found, strict=False):
            _check_tokens(row, text, ids, encoder)
        token_ids += found
        count(len(token_ids))
    return token_ids


def _check_tokens(row: PlacedRow, text: str, ids: np.ndarray, encoder: Encoder) -> None:
    if not len(ids):
        raise ConfigurationError(
            f"{row.place}: the tokenizer makes no token of {text!r}; use characters that it "
            "knows, or delete the row"
        )
    unknown = encoder.unknown_token(ids)
    if unknown is not None:
        raise ConfigurationError(f"{row.place}: {unknown}")


def _counter(
    spec: DatasetSpec, num_rows: int, on_progress: OnProgress | None
) -> Callable[[int], None]:
    def count(done: int) -> None:
        if on_progress is not None:
            on_progress(spec.name, done, num_rows)

    return count


def _rendering_digest(data: DataSpec, tokenizer: PreTrainedTokenizerBase) -> str:
    """What turns a row into a prompt, besides the row."""
    settings = [data.keys.prompt, data.keys.label, data.apply_chat_template, data.input_template]
    parts = json.dumps([*settings, data.prompt_max_length, tokenizer_digest(tokenizer)])
    return hashlib.sha256(parts.encode()).hexdigest()


def _rows_digest(basis: str, rows: Sequence[PlacedRow]) -> str:
    digest = hashlib.sha256(basis.encode())
    for row in rows:
        text = json.dumps(row.row, sort_keys=True, default=repr)
        digest.update(text.encode("utf-8", "replace") + b"\n")
    return digest.hexdigest()


def _label(row: PlacedRow, key: str | None) -> Any:
    if key is None:
        return ""
    if key not in row.row:
        known = ", ".join(map(repr, row.row)) or "none"
        raise ConfigurationError(
            f"{row.place}: no column {key!r} (there are: {known}); add it, or fix data.keys.label"
        )
    return "" if row.row[key] is None else row.row[key]


def _other_columns(row: Row, prompt_key: str) -> Row:
    """The columns for reward functions; chats among them without the nulls that Arrow adds."""
    return {
        key: without_nulls(value) if is_chat(value) else value
        for key, value in row.items()
        if key != prompt_key
    }


def _report_left_out(
    spec: DatasetSpec, token_ids: Sequence[np.ndarray], num_kept: int, limit: int
) -> None:
    if not num_kept:
        shortest = min(map(len, token_ids))
        raise ConfigurationError(
            f"{_named(spec)}: every prompt is longer than data.promptMaxLength of {limit} tokens; "
            f"the shortest has {shortest}: raise the limit"
        )
    if num_kept < len(token_ids):
        logger.warning(
            "dataset=%s rows=%d left_out=%d reason='longer than promptMaxLength %d'",
            spec.name,
            len(token_ids),
            len(token_ids) - num_kept,
            limit,
        )


def _named(spec: DatasetSpec) -> str:
    return f"data.train {spec.name!r} ({spec.source})"
