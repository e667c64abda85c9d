"""Ragged samples become the tensors of one forward pass, and what comes of it ragged again."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from openrlhf_core.samples import MicroBatch, TrainSample


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the tokens of ragged samples, laid end to end, go in a [batch, seq] tensor.

    Example: lengths (3, 2) padded: [[T, T, T], [T, T, F]]; packed: [[T, T, T, T, T]].
    """

    is_token: Bool[np.ndarray, "batch seq"]

    @staticmethod
    def of(lengths: Sequence[int], packing: bool) -> "Layout":
        """Right-padded rows, or all samples in one row; no samples take a row of two paddings."""
        if not lengths:
            return Layout(np.zeros((1, 2), bool))
        if packing:
            return Layout(np.ones((1, sum(lengths)), bool))
        return Layout(np.arange(max(lengths)) < np.array(lengths)[:, None])

    def place(self, values: Sequence[np.ndarray], fill: float, dtype: torch.dtype) -> Tensor:
        """The values, one array a sample, as a tensor with `fill` at padding."""
        placed = torch.full(self.is_token.shape, fill, dtype=dtype)
        if values:
            flat = torch.from_numpy(np.concatenate(values))
            placed[torch.from_numpy(self.is_token)] = flat.to(dtype)
        return placed


def collate(samples: Sequence[TrainSample], pad_id: int, packing: bool) -> MicroBatch:
    """The samples as CPU tensors, [batch, seq], or packed [1, sum of lengths].

    No samples give a row of padding that nothing is learned from: a rank without work runs it to
    stay in step with the others.
    """
    lengths = [sample.num_tokens for sample in samples]
    layout = Layout.of(lengths, packing)
    owners = [np.full(length, index) for index, length in enumerate(lengths)]
    positions = [np.arange(length) for length in lengths]

    def floats(values: Sequence[np.ndarray]) -> Tensor:
        return layout.place(values, 0.0, torch.float32)

    old_logprobs = _all_or_none("old_logprobs", [sample.old_logprobs for sample in samples])
    ref_logprobs = _all_or_none("ref_logprobs", [sample.ref_logprobs for sample in samples])
    return MicroBatch(
        token_ids=layout.place([sample.token_ids for sample in samples], pad_id, torch.int64),
        position_ids=layout.place(positions, 0, torch.int64),
        attention_mask=None if packing and samples else torch.from_numpy(layout.is_token),
        sample_ids=layout.place(owners, -1, torch.int64),
        action_mask=layout.place([sample.action_mask for sample in samples], 0, torch.bool),
        advantages=floats([sample.advantages for sample in samples]),
        rollout_logprobs=floats([sample.rollout_logprobs for sample in samples]),
        old_logprobs=None if old_logprobs is None else floats(old_logprobs),
        ref_logprobs=None if ref_logprobs is None else floats(ref_logprobs),
    )


def collate_token_ids(token_ids: Sequence[np.ndarray], pad_id: int, packing: bool) -> MicroBatch:
    """Plain token ids as a MicroBatch, for passes that only ask for log-probs."""
    samples = []
    for ids in token_ids:
        zeros = np.zeros(len(ids), np.float32)
        samples.append(TrainSample(ids, np.ones(len(ids), bool), zeros, zeros))
    return collate(samples, pad_id, packing)


def packed_positions(batch: MicroBatch) -> Int64[Tensor, "batch seq"] | None:
    """Position ids of packed rows; None for padded ones, which need none."""
    return batch.position_ids if batch.attention_mask is None else None


def ragged(
    values: Float[Tensor, "batch seq"], batch: MicroBatch, lengths: Sequence[int]
) -> list[np.ndarray]:
    """The values of each sample, float32, without padding."""
    flat = values[batch.sample_ids >= 0].to("cpu", torch.float32).numpy()
    ends = np.cumsum(lengths, dtype=np.int64)
    return [flat[end - length : end] for length, end in zip(lengths, ends, strict=True)]


def to_device(batch: MicroBatch, device: torch.device) -> MicroBatch:
    """The same batch on a device."""
    if device.type == "cpu":
        return batch
    moved: dict[str, Any] = {}
    for field in fields(batch):
        tensor = getattr(batch, field.name)
        moved[field.name] = tensor if tensor is None else tensor.to(device, non_blocking=True)
    return MicroBatch(**moved)


def _all_or_none(name: str, values: Sequence[np.ndarray | None]) -> list[np.ndarray] | None:
    """The arrays; None when there are none. A micro-batch with both is a mistake of its maker."""
    present = [value for value in values if value is not None]
    if present and len(present) < len(values):
        raise ValueError(f"{name} is None in {len(values) - len(present)} of {len(values)} samples")
    return present or None
