"""The engine's side of a weight sync: what vLLM is told to connect and to take weights.

vLLM takes dicts whose keys depend on the transport; the rollout engine passes them on unread.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from openrlhf_core.engines.protocols import SyncGroup, WeightInfo
from openrlhf_core.engines.weight_sync.backend import SyncBackend
from openrlhf_core.engines.weight_sync.ipc_channel import IpcSubscriber


class WeightReceiver(Protocol):
    """The transport's part of `connect` and `receive_weights`."""

    @property
    def init_info(self) -> dict[str, Any]:
        """What vLLM's init_weight_transfer_engine takes."""

    def updates(self) -> Iterator[dict[str, Any]]:
        """What vLLM's update_weights takes, one call each; each is used up before the next."""

    def confirm(self) -> None:
        """Tells the learner that the round has ended here."""


def make_receiver(
    backend: SyncBackend,
    group: SyncGroup,
    first_rank: int,
    num_workers: int,
    weights: Sequence[WeightInfo],
) -> WeightReceiver:
    """The receiver of an engine whose `num_workers` workers rank from `first_rank`."""
    if backend == "gloo":
        return GlooReceiver(group, first_rank, weights)
    if backend == "nccl":
        return NcclReceiver(group, first_rank, weights)
    return IpcReceiver(group, num_workers)


class GlooReceiver:
    """One update a round: our gloo transport knows the weights from the start."""

    def __init__(self, group: SyncGroup, first_rank: int, weights: Sequence[WeightInfo]) -> None:
        self.init_info: dict[str, Any] = {
            "host": group.host,
            "port": group.port,
            "first_rank": first_rank,
            "world_size": group.world_size,
            "timeout_seconds": group.timeout_seconds,
            "bucket_bytes": group.bucket_bytes,
            **_columns(weights),
        }

    def updates(self) -> Iterator[dict[str, Any]]:
        yield {}

    def confirm(self) -> None:
        """The workers did, in the group."""


class NcclReceiver:
    """One update a round, which repeats what is sent: vLLM's NCCL transport asks for it."""

    def __init__(self, group: SyncGroup, first_rank: int, weights: Sequence[WeightInfo]) -> None:
        self.init_info: dict[str, Any] = {
            "master_address": group.host,
            "master_port": group.port,
            "rank_offset": first_rank,
            "world_size": group.world_size,
            "packed": True,
            "packed_buffer_size_bytes": group.bucket_bytes,
            "packed_num_buffers": NCCL_BUFFERS,
        }
        self._update = _columns(weights)

    def updates(self) -> Iterator[dict[str, Any]]:
        yield self._update

    def confirm(self) -> None:
        """The broadcasts did."""


class IpcReceiver:
    """One update a bucket, each a handle to the learner's memory on the same device."""

    def __init__(self, group: SyncGroup, num_workers: int) -> None:
        self.init_info: dict[str, Any] = {"packed": True}
        self._channel = IpcSubscriber(group, num_workers)

    def updates(self) -> Iterator[dict[str, Any]]:
        return self._channel.updates()

    def confirm(self) -> None:
        self._channel.confirm()


NCCL_BUFFERS = 2
"""Buckets in flight; both sides must agree."""


def _columns(weights: Sequence[WeightInfo]) -> dict[str, Any]:
    return {
        "names": [weight.name for weight in weights],
        "dtype_names": [weight.dtype for weight in weights],
        "shapes": [list(weight.shape) for weight in weights],
    }
