"""Pads or packs samples into the tensors of one forward pass, and splits its outputs per row."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from openrlhf_core.objectives.micro_batch import Layout, MicroBatch, TokenRow

S = TypeVar("S")


def collate(
    samples: Sequence[S],
    rows_of: Callable[[S], tuple[TokenRow, ...]],
    pad_id: int,
    packing: bool,
) -> MicroBatch[S]:
    """Returns the samples' rows as CPU tensors: [rows, longest], or packed [1, sum of lengths].

    No samples give one row of padding, without a selected token: a rank without work runs it,
    because all ranks take part in every collective.
    """
    rows = [row for sample in samples for row in rows_of(sample)]
    lengths = [len(row.token_ids) for row in rows]
    layout = Layout.of(lengths, packing)
    owners = [np.full(length, index) for index, length in enumerate(lengths)]
    positions = [np.arange(length) for length in lengths]
    return MicroBatch(
        samples=tuple(samples),
        layout=layout,
        is_packed=packing and bool(rows),
        token_ids=layout.place([row.token_ids for row in rows], pad_id, torch.int64),
        position_ids=layout.place(positions, 0, torch.int64),
        row_ids=layout.place(owners, -1, torch.int64),
        selected=layout.place([row.selected for row in rows], 0, torch.bool),
        loss_weights=layout.place([row.loss_weights for row in rows], 0.0, torch.float32),
    )


def collate_token_ids(
    token_ids: Sequence[np.ndarray], pad_id: int, packing: bool
) -> MicroBatch[np.ndarray]:
    """Returns sequences of token ids as a micro-batch for scoring: every token that follows
    another is selected and no token has a loss."""
    return collate(token_ids, scored_rows, pad_id, packing)


def scored_rows(token_ids: np.ndarray) -> tuple[TokenRow, ...]:
    """Returns the row of one sequence to score."""
    length = len(token_ids)
    return (TokenRow(token_ids, np.arange(length) > 0, np.zeros(length, np.float32)),)


def ragged(values: Float[Tensor, "batch seq"], batch: MicroBatch[S]) -> list[np.ndarray]:
    """Returns the values of each row, float32, without padding."""
    flat = values[batch.attention_mask].to("cpu", torch.float32).numpy()
    lengths = batch.layout.lengths
    ends = np.cumsum(lengths, dtype=np.int64)
    return [flat[end - length : end] for length, end in zip(lengths, ends, strict=True)]
