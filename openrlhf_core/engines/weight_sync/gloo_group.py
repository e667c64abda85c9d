"""The gloo group of learner rank 0 and all engine workers, apart from any default group."""

import os
import re
import socket
from datetime import timedelta
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch._C._distributed_c10d import PrefixStore, TCPStore
from torch.distributed import AllreduceOptions, BroadcastOptions, ProcessGroupGloo

from openrlhf_core.engines.protocols import SyncGroup
from openrlhf_core.engines.weight_sync.deadline import Deadline, sync_failure

# Torch's type stubs leave out the group's collectives and options.
_ProcessGroupGloo: Any = ProcessGroupGloo


class GlooGroup:
    """A member of the group, `rank` 0 being the learner. Making one waits for all others."""

    def __init__(self, group: SyncGroup, rank: int) -> None:
        timeout = timedelta(seconds=group.timeout_seconds)
        try:
            self._store = open_store(group, is_master=rank == 0)
            options = _ProcessGroupGloo._Options()
            options._timeout = timeout
            options._devices = [_device_towards(group.host, group.port)]
            store = PrefixStore("weight_sync", self._store)
            self._group: Any = _ProcessGroupGloo(store, rank, group.world_size, options)
        except (RuntimeError, OSError) as error:
            where = f"{group.host}:{group.port}"
            what = f"rank {rank} of {group.world_size} did not meet the others at {where}"
            raise sync_failure(what, group.timeout_seconds, _reason(error)) from error

    def broadcast(self, flat: UInt8[Tensor, "num_bytes"], what: str, deadline: Deadline) -> None:
        """Copies rank 0's `flat` into that of every other rank. RetryableError names `what`."""
        options = BroadcastOptions()
        options.rootRank = 0
        options.rootTensor = 0
        options.timeout = deadline.remaining()
        try:
            self._joined().broadcast([flat], options).wait()
        except RuntimeError as error:
            raise sync_failure(what, deadline.seconds, _reason(error)) from error

    def total(self, value: int, what: str, deadline: Deadline) -> int:
        """Sum of every rank's `value`; returns once all ranks have called it."""
        options = AllreduceOptions()
        options.timeout = deadline.remaining()
        counter = torch.tensor([value], dtype=torch.int64)
        try:
            self._joined().allreduce([counter], options).wait()
        except RuntimeError as error:
            raise sync_failure(what, deadline.seconds, _reason(error)) from error
        return int(counter.item())

    def close(self) -> None:
        """Leaves the group; whoever waits in it fails at once."""
        if self._group is not None:
            self._group.abort()
            self._group = None

    def _joined(self) -> Any:
        if self._group is None:
            raise RuntimeError("the group is closed")
        return self._group


def open_store(group: SyncGroup, is_master: bool) -> TCPStore:
    """The key-value store at the group's address; the learner is its master."""
    return TCPStore(
        group.host,
        group.port,
        is_master=is_master,
        wait_for_workers=False,
        timeout=timedelta(seconds=group.timeout_seconds),
    )


def _reason(error: Exception) -> str:
    """Gloo's message without its source line and its advice."""
    return re.sub(r"^\[[^]]*\] ", "", str(error)).split(". ")[0].rstrip(".")


def _device_towards(host: str, port: int) -> object:
    """The network device that reaches `host`.

    Gloo's own guess is the address that this machine's name resolves to, which on many
    installations is a loopback address that no other machine reaches.
    """
    if interface := os.environ.get("GLOO_SOCKET_IFNAME"):
        return ProcessGroupGloo.create_device(interface=interface.split(",")[0])
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)
        return ProcessGroupGloo.create_device(hostname=probe.getsockname()[0])
