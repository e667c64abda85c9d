"""Prompts of a dataset: its rows rendered, tokenised, and judged by their length."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from openrlhf_core.data.hub_datasets import is_saved_dataset, read_hub_dataset
from openrlhf_core.data.tables import Row, Table, read_table
from openrlhf_core.data.templates import render_prompts
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.data import DatasetSpec, DataSpec
from openrlhf_core.spec.kinds.sources import parse_source

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
) -> list[PromptDataset]:
    """The training prompts of every dataset.

    ConfigurationError names the file, the row and the mend: a missing column, an empty prompt, a
    row that the template cannot render, a dataset of which no row is left.
    """
    return [
        _load_dataset(index, data, tokenizer, locator, on_progress)
        for index in range(len(data.train))
    ]


def _load_dataset(
    index: int,
    data: DataSpec,
    tokenizer: PreTrainedTokenizerBase,
    locator: Locator,
    on_progress: OnProgress | None,
) -> PromptDataset:
    spec = data.train[index]
    table = _open_table(spec, locator)
    rows = table.rows
    if not rows:
        raise ConfigurationError(f"{_named(spec)} has no row; give it at least one")
    texts = render_prompts(table, data, tokenizer)
    token_ids = _tokenise(texts, data, tokenizer, spec.name, on_progress)
    for row_index, ids in enumerate(token_ids):
        if not len(ids):
            raise ConfigurationError(
                f"{table.place(row_index)}: the tokenizer makes no token of {texts[row_index]!r}; "
                "use characters that it knows, or delete the row"
            )
    kept = [i for i, ids in enumerate(token_ids) if len(ids) <= data.prompt_max_length]
    _report_left_out(spec, token_ids, len(kept), data.prompt_max_length)
    label = data.keys.label
    return PromptDataset(
        name=spec.name,
        weight=spec.weight,
        texts=[texts[i] for i in kept],
        token_ids=np.concatenate([token_ids[i] for i in kept]),
        ends=np.cumsum([len(token_ids[i]) for i in kept], dtype=np.int64),
        labels=["" if label is None else _label(rows[i], label, table, i) for i in kept],
        columns=[_other_columns(rows[i], data) for i in kept],
        num_left_out=len(rows) - len(kept),
    )


def _open_table(spec: DatasetSpec, locator: Locator) -> Table:
    path = locator.locate(spec.source, "data")
    is_from_hub = parse_source(spec.source, "data").scheme == "hf"
    if is_from_hub or (path.is_dir() and is_saved_dataset(path)):
        return read_hub_dataset(path, spec.subset, spec.split, spec.max_samples, locator.cache)
    return read_table(path, spec.subset, spec.split, spec.max_samples)


def _tokenise(
    texts: Sequence[str],
    data: DataSpec,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    on_progress: OnProgress | None,
) -> list[np.ndarray]:
    """Token ids of each text. A chat template writes special tokens itself; else the tokenizer
    adds its own at the front (an end token at the back is taken off again)."""
    has_special_tokens = data.apply_chat_template
    token_ids: list[np.ndarray] = []
    for start in range(0, len(texts), ROWS_AT_ONCE):
        chunk = list(texts[start : start + ROWS_AT_ONCE])
        token_ids += _encode(tokenizer, chunk, add_special_tokens=not has_special_tokens)
        if on_progress is not None:
            on_progress(name, len(token_ids), len(texts))
    (probe,) = _encode(tokenizer, ["a"], add_special_tokens=True)
    if has_special_tokens or probe[-1:] != [tokenizer.eos_token_id]:
        return token_ids
    return [ids[:-1] for ids in token_ids]


def _encode(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], add_special_tokens: bool
) -> list[np.ndarray]:
    """Token ids of each text, int32. The Rust tokenizer is asked itself: it takes a third of the
    time when it need not tell where in the text a token stood."""
    rust = getattr(tokenizer, "backend_tokenizer", None)
    if rust is None:
        found = tokenizer(texts, add_special_tokens=add_special_tokens, verbose=False)
        return [np.asarray(ids, dtype=np.int32) for ids in found["input_ids"]]
    rust.no_truncation()
    rust.no_padding()
    encodings = rust.encode_batch_fast(texts, add_special_tokens=add_special_tokens)
    return [np.asarray(encoding.ids, dtype=np.int32) for encoding in encodings]


def _label(row: Row, key: str, table: Table, index: int) -> Any:
    if key not in row:
        known = ", ".join(map(repr, row)) or "none"
        raise ConfigurationError(
            f"{table.place(index)}: no column {key!r} (there are: {known}); add it, or mend "
            "data.keys.label"
        )
    return "" if row[key] is None else row[key]


def _other_columns(row: Row, data: DataSpec) -> Row:
    return {key: value for key, value in row.items() if key != data.keys.prompt}


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
