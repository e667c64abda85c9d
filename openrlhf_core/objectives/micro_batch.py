"""The tensors of one forward pass: samples as rows of tokens, padded on the right or packed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64
from torch import Tensor

S_co = TypeVar("S_co", covariant=True)


@dataclass(frozen=True, eq=False)
class TokenRow:
    """One sequence that the model reads. A sample gives one row or more, as a pair gives two.

    Example: TokenRow(token_ids=[7, 9, 8, 5, 11, 1], selected=[0, 0, 0, 0, 1, 1],
    loss_weights=[0, 0, 0, 0, 0.5, 0.5])
    """

    token_ids: Int32[np.ndarray, "seq"]
    selected: Bool[np.ndarray, "seq"]
    """True where the loss needs the model's output."""
    loss_weights: Float32[np.ndarray, "seq"]
    """Factor of each token's loss in the loss of the optimizer step."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the tokens of rows, laid end to end, go in a [batch, seq] tensor.

    Example: lengths (3, 2) padded: [[T, T, T], [T, T, F]]; packed: [[T, T, T, T, T]].
    """

    lengths: tuple[int, ...]
    is_token: Bool[np.ndarray, "batch seq"]

    @staticmethod
    def of(lengths: Sequence[int], packing: bool) -> "Layout":
        """Right-padded rows, or all rows in one; without rows, one row of two padding tokens."""
        if not lengths:
            return Layout((), np.zeros((1, 2), bool))
        if packing:
            return Layout(tuple(lengths), np.ones((1, sum(lengths)), bool))
        return Layout(tuple(lengths), np.arange(max(lengths)) < np.array(lengths)[:, None])

    def place(self, values: Sequence[np.ndarray], fill: int | float, dtype: torch.dtype) -> Tensor:
        """Returns the values, one array a row, as a tensor with `fill` at padding."""
        placed = torch.full(self.is_token.shape, fill, dtype=dtype)
        if values:
            flat = torch.from_numpy(np.concatenate(values))
            placed[torch.from_numpy(self.is_token)] = flat.to(dtype)
        return placed


@dataclass(frozen=True, eq=False)
class MicroBatch(Generic[S_co]):
    """The samples of one forward pass and their rows as tensors. Made by engines.collate.

    Example, two rows of lengths 6 and 3. Padded: token_ids [2, 6], row_ids [[0, 0, 0, 0, 0, 0],
    [1, 1, 1, -1, -1, -1]]. Packed: token_ids [1, 9], row_ids [[0, 0, 0, 0, 0, 0, 1, 1, 1]],
    position_ids [[0, 1, 2, 3, 4, 5, 0, 1, 2]].
    """

    samples: tuple[S_co, ...]
    layout: Layout = field(repr=False)
    is_packed: bool
    token_ids: Int64[Tensor, "batch seq"]
    position_ids: Int64[Tensor, "batch seq"]
    row_ids: Int64[Tensor, "batch seq"]
    """Which row a token belongs to, from 0 in the order of the samples; -1 at padding."""
    selected: Bool[Tensor, "batch seq"]
    loss_weights: Float32[Tensor, "batch seq"]

    @property
    def attention_mask(self) -> Bool[Tensor, "batch seq"]:
        """True at tokens, False at padding."""
        return self.row_ids >= 0

    @property
    def packed_position_ids(self) -> Int64[Tensor, "batch seq"] | None:
        """Position ids of packed rows; None for padded rows, which need none."""
        return self.position_ids if self.is_packed else None

    def to(self, device: torch.device) -> "MicroBatch[S_co]":
        """Returns the same micro-batch with its tensors on a device."""
        return replace(
            self,
            token_ids=self.token_ids.to(device, non_blocking=True),
            position_ids=self.position_ids.to(device, non_blocking=True),
            row_ids=self.row_ids.to(device, non_blocking=True),
            selected=self.selected.to(device, non_blocking=True),
            loss_weights=self.loss_weights.to(device, non_blocking=True),
        )

    def place(
        self, values: Sequence[np.ndarray], fill: int | float = 0.0
    ) -> Float32[Tensor, "batch seq"]:
        """Returns an objective's own values, one array a row, laid out as the tokens are."""
        placed = self.layout.place(values, fill, torch.float32)
        return placed.to(self.token_ids.device, non_blocking=True)
