"""The learner's side of a weight sync: sends every weight, once a policy version."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from openrlhf_core.engines.protocols import SyncGroup, WeightInfo
from openrlhf_core.engines.weight_sync.backend import SyncBackend
from openrlhf_core.engines.weight_sync.buckets import pack, plan_buckets
from openrlhf_core.engines.weight_sync.deadline import Deadline, sync_failure
from openrlhf_core.engines.weight_sync.gloo_group import GlooGroup


class WeightSender(Protocol):
    """What a learner rank sends weights with, while the engines run `receive_weights`."""

    def send(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        """Sends one round; returns when every engine worker has all of it.

        `weights` is what Learner.weights yields on this rank. Raises RetryableError past the
        group's timeout, ValueError when the weights are not those announced.
        """

    def close(self) -> None:
        """Leaves the group; whoever waits in it fails at once."""


def make_sender(
    backend: SyncBackend, group: SyncGroup, weights: Sequence[WeightInfo], rank: int
) -> WeightSender:
    """The sender of learner rank `rank`; every rank makes one, while the engines `connect`.

    Only rank 0 joins the group. With `ipc` each rank hands over the memory of its own device, so
    its `weights` must be whole on every rank.
    """
    if backend == "ipc":
        return _vllm_sender(backend, group, weights, rank)
    if rank != 0:
        return GatheringSender()
    if backend == "nccl":
        return _vllm_sender(backend, group, weights, rank)
    return GlooSender(group, weights)


def _vllm_sender(
    backend: SyncBackend, group: SyncGroup, weights: Sequence[WeightInfo], rank: int
) -> WeightSender:
    # vLLM is an optional extra of a learner: only NCCL and CUDA IPC need it there.
    from openrlhf_core.engines.weight_sync.vllm_sender import (  # noqa: PLC0415
        VllmSender,
        ipc_engine,
        nccl_engine,
    )

    make_engine = ipc_engine if backend == "ipc" else nccl_engine
    return VllmSender(make_engine, group, weights, rank)


class GatheringSender:
    """Takes part in gathering the weights and sends none: a rank but 0."""

    def send(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        for _ in weights:
            pass

    def close(self) -> None:
        pass


class GlooSender:
    """Broadcasts bucket after bucket from rank 0, through one buffer in host memory."""

    def __init__(self, group: SyncGroup, weights: Sequence[WeightInfo]) -> None:
        self._timeout_seconds = group.timeout_seconds
        self._num_receivers = group.world_size - 1
        self._buckets = plan_buckets(weights, group.bucket_bytes)
        self._num_bytes = sum(bucket.num_bytes for bucket in self._buckets)
        capacity = max((bucket.num_bytes for bucket in self._buckets), default=0)
        self._buffer = torch.empty(capacity, dtype=torch.uint8)
        self._group = GlooGroup(group, rank=0)

    def send(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        try:
            self._send(weights)
        except BaseException:
            # The engines would wait out their timeout for buckets that never come.
            self.close()
            raise

    def _send(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        deadline = Deadline(self._timeout_seconds)
        for number, bucket in enumerate(self._buckets, start=1):
            flat = pack(bucket, weights, self._buffer)
            what = f"bucket {number} of {len(self._buckets)}, {bucket.describe()}, was not taken"
            self._group.broadcast(flat, what, deadline)
        if (extra := next(weights, None)) is not None:
            raise ValueError(f"the learner yielded weight {extra[0]}, which it had not announced")
        self._confirm(deadline)

    def _confirm(self, deadline: Deadline) -> None:
        received = self._group.total(0, "the engines did not confirm the last bucket", deadline)
        if received != self._num_receivers * self._num_bytes:
            what = f"{self._num_receivers} engine workers took {received} bytes in all"
            raise sync_failure(what, deadline.seconds, f"{self._num_bytes} were sent to each")

    def close(self) -> None:
        self._group.close()
