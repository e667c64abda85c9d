"""Sends weights over NCCL or CUDA IPC with vLLM's own trainer side.

vLLM's trainer expects to lead the engines through a sync. Here the driver tells learner and engines
at the same time (`send` and `receive_weights`), so its client has nothing left to say, but for CUDA
IPC, where the handles to the memory go through `IpcPublisher`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from vllm.distributed.weight_transfer import (
    ParamMeta,
    TrainerWeightTransferEngine,
    VLLMWeightSyncClient,
    WeightSource,
    WeightTransferTrainerFactory,
)
from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo
from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

from openrlhf_core.engines.protocols import SyncGroup, WeightInfo
from openrlhf_core.engines.weight_sync.buckets import weight_dtype
from openrlhf_core.engines.weight_sync.deadline import call_within
from openrlhf_core.engines.weight_sync.ipc_channel import IpcPublisher
from openrlhf_core.engines.weight_sync.receiver import NCCL_BUFFERS

Trainer = TrainerWeightTransferEngine[Any]
MakeEngine = Callable[[SyncGroup, "RoundSource", int], Trainer]


class VllmSender:
    """A WeightSender over one of vLLM's trainer engines."""

    def __init__(
        self, make_engine: MakeEngine, group: SyncGroup, weights: Sequence[WeightInfo], rank: int
    ) -> None:
        self._timeout_seconds = group.timeout_seconds
        self._source = RoundSource(weights)
        self._device = torch.cuda.current_device()
        self._engine = self._call(
            "the engines did not connect", lambda: make_engine(group, self._source, rank)
        )

    def send(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        self._source.load(weights)
        self._call("the weights were not taken", self._engine.send_weights)

    def close(self) -> None:
        self._engine.shutdown()

    def _call(self, what: str, function: Callable[[], Any]) -> Any:
        def on_own_device() -> Any:
            torch.cuda.set_device(self._device)  # the current device is a thread's own
            return function()

        return call_within(self._timeout_seconds, what, on_own_device)


class RoundSource(WeightSource):
    """The weights of one round, as vLLM's trainers read them."""

    def __init__(self, weights: Sequence[WeightInfo]) -> None:
        self._metadata = [
            ParamMeta(weight.name, weight_dtype(weight), weight.shape) for weight in weights
        ]
        self._round: Iterator[tuple[str, Tensor]] | None = None

    def load(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        """Sets what the next iteration yields."""
        self._round = weights

    def metadata(self) -> list[ParamMeta]:
        return self._metadata

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        if self._round is None:
            raise RuntimeError("a round of weights is read once; load the next one first")
        weights, self._round = self._round, None
        return ((name, tensor.detach()) for name, tensor in weights)


def nccl_engine(group: SyncGroup, source: RoundSource, rank: int) -> Trainer:
    """Joins the engines' NCCL group as rank 0."""
    init_info = NCCLTrainerInitInfo(
        master_address=group.host,
        master_port=group.port,
        world_size=group.world_size,
        packed=True,
        packed_buffer_size_bytes=group.bucket_bytes,
        packed_num_buffers=NCCL_BUFFERS,
        rank=rank,
    )
    return WeightTransferTrainerFactory.trainer_init(
        init_info, client=SilentClient(), source=source
    )


def ipc_engine(group: SyncGroup, source: RoundSource, rank: int) -> Trainer:
    """Opens the channel for handles on rank 0; the other ranks add theirs to its messages."""
    client: VLLMWeightSyncClient = IpcPublisher(group) if rank == 0 else SilentClient()
    init_info = IPCTrainerInitInfo(
        packed=True, packed_buffer_size_bytes=group.bucket_bytes, rank=rank
    )
    return WeightTransferTrainerFactory.trainer_init(init_info, client=client, source=source)


class SilentClient:
    """Tells the engines nothing: the driver does."""

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        pass

    def start_weight_update(self) -> None:
        pass

    def update_weights(self, update_info: dict[str, Any] | list[dict[str, Any]]) -> None:
        pass

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        pass
