"""How weights are laid out in the byte buffers that travel. Both sides plan alike."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from openrlhf_core.engines.protocols import WeightInfo


@dataclass(frozen=True)
class Bucket:
    """Weights of one dtype that follow each other in one flat buffer, without gaps.

    Example: Bucket((WeightInfo("a", "float32", (2, 3)), WeightInfo("b", "float32", (4,)))) has 40
    bytes: 24 of `a`, then 16 of `b`.
    """

    weights: tuple[WeightInfo, ...]

    @property
    def num_bytes(self) -> int:
        return sum(weight_bytes(weight) for weight in self.weights)

    def describe(self) -> str:
        """Names the bucket in an error."""
        return (
            f"{self.weights[0].name} to {self.weights[-1].name} "
            f"({len(self.weights)} weights, {self.num_bytes} bytes)"
        )


def weight_dtype(weight: WeightInfo) -> torch.dtype:
    """The torch dtype that `weight.dtype` names."""
    dtype = getattr(torch, weight.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"weight {weight.name} has dtype {weight.dtype!r}, which torch lacks")
    return dtype


def weight_bytes(weight: WeightInfo) -> int:
    """Bytes of the whole weight."""
    return math.prod(weight.shape) * weight_dtype(weight).itemsize


def plan_buckets(weights: Sequence[WeightInfo], bucket_bytes: int) -> list[Bucket]:
    """Buckets of at most `bucket_bytes` that hold `weights` in their order.

    A larger weight goes alone, and a change of dtype starts a new bucket, so that every weight
    lies at a multiple of its item size.
    """
    buckets: list[Bucket] = []
    current: list[WeightInfo] = []
    filled = 0
    for weight in weights:
        size = weight_bytes(weight)
        if current and (filled + size > bucket_bytes or weight.dtype != current[0].dtype):
            buckets.append(Bucket(tuple(current)))
            current, filled = [], 0
        current.append(weight)
        filled += size
    if current:
        buckets.append(Bucket(tuple(current)))
    return buckets


def pack(
    bucket: Bucket, tensors: Iterator[tuple[str, Tensor]], buffer: UInt8[Tensor, "capacity"]
) -> UInt8[Tensor, "num_bytes"]:
    """The part of `buffer` that now holds the bucket's weights, the next ones of `tensors`.

    Raises ValueError when a name, dtype or shape is not the one that was planned.
    """
    flat = buffer[: bucket.num_bytes]
    for weight, view in _views(bucket, flat):
        name, tensor = next(tensors, (None, None))
        if name is None or tensor is None:
            raise ValueError(f"the learner yielded no weight where {weight.name} was announced")
        _check_as_announced(weight, name, tensor)
        view.copy_(tensor.detach())
    return flat


def unpack(bucket: Bucket, flat: UInt8[Tensor, "num_bytes"]) -> list[tuple[str, Tensor]]:
    """Names and views of the weights in `flat`."""
    return [(weight.name, view) for weight, view in _views(bucket, flat)]


def _views(bucket: Bucket, flat: Tensor) -> Iterator[tuple[WeightInfo, Tensor]]:
    start = 0
    for weight in bucket.weights:
        end = start + weight_bytes(weight)
        yield weight, flat[start:end].view(weight_dtype(weight)).view(weight.shape)
        start = end


def _check_as_announced(weight: WeightInfo, name: str, tensor: Tensor) -> None:
    arrived = WeightInfo(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
    if arrived != weight:
        raise ValueError(f"the learner announced {weight} and yielded {arrived}")
