"""Carries CUDA IPC handles from learner rank 0 to the engines, through the group's store.

A round is a list of messages under the keys `ipc/<number>`; the publisher waits until every engine
has used one up before it goes on. Messages are JSON, so that nothing a stranger writes to the store
is ever executed.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch._C._distributed_c10d import TCPStore

from openrlhf_core.engines.protocols import SyncGroup
from openrlhf_core.engines.weight_sync.deadline import Deadline, sync_failure
from openrlhf_core.engines.weight_sync.gloo_group import open_store

_END = "end"


class IpcPublisher:
    """Learner rank 0's end: vLLM's trainer calls it as its client for the engines."""

    def __init__(self, group: SyncGroup) -> None:
        self._group = group
        self._store = open_store(group, is_master=True)
        self._number = 0
        self._deadline = Deadline(group.timeout_seconds)

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Nothing: the engines were told by `connect`."""

    def start_weight_update(self) -> None:
        """Starts the time limit of a round; the engines start theirs in `receive_weights`."""
        self._deadline = Deadline(self._group.timeout_seconds)

    def update_weights(self, update_info: Any) -> None:
        """Hands one update over and waits until every engine worker has used it up."""
        self._publish(json.dumps(encode_update(update_info)))

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """Ends the round and waits until every engine has ended it."""
        self._publish(json.dumps(_END))

    def _publish(self, message: str) -> None:
        key = f"ipc/{self._number}"
        self._number += 1
        try:
            self._store.set(key, message)
            self._store.wait([f"{key}/done"], self._deadline.remaining())
        except RuntimeError as error:
            what = f"the engines did not take message {key}"
            raise sync_failure(what, self._deadline.seconds, error) from error
        for used in (key, f"{key}/count", f"{key}/done"):
            self._store.delete_key(used)


class IpcSubscriber:
    """An engine's end; it stands for `num_workers` of the group's members."""

    def __init__(self, group: SyncGroup, num_workers: int) -> None:
        self._group = group
        self._num_workers = num_workers
        self._number = 0
        try:
            self._store: TCPStore = open_store(group, is_master=False)
        except RuntimeError as error:
            what = f"the learner does not answer at {group.host}:{group.port}"
            raise sync_failure(what, group.timeout_seconds, error) from error

    def updates(self) -> Iterator[dict[str, Any]]:
        """The round's updates; asking for the next one says that the last one is used up."""
        deadline = Deadline(self._group.timeout_seconds)
        while (message := self._next(deadline)) != _END:
            yield decode_update(message)
            self.confirm()

    def confirm(self) -> None:
        """Says that the newest message is used up."""
        key = f"ipc/{self._number}"
        self._number += 1
        if self._store.add(f"{key}/count", self._num_workers) == self._group.world_size - 1:
            self._store.set(f"{key}/done", "")

    def _next(self, deadline: Deadline) -> Any:
        key = f"ipc/{self._number}"
        try:
            self._store.wait([key], deadline.remaining())
            return json.loads(self._store.get(key))
        except RuntimeError as error:
            what = f"message {key} did not arrive"
            raise sync_failure(what, deadline.seconds, error) from error


def encode_update(update_info: dict[str, Any]) -> dict[str, Any]:
    """vLLM's update for packed CUDA IPC, as JSON values."""
    handles = {uuid: _encode_handle(args) for uuid, args in update_info["ipc_handles"].items()}
    return {name: update_info[name] for name in _PLAIN_FIELDS} | {"ipc_handles": handles}


def decode_update(message: dict[str, Any]) -> dict[str, Any]:
    """What `encode_update` was given."""
    handles = {uuid: _decode_handle(args) for uuid, args in message["ipc_handles"].items()}
    return {name: message[name] for name in _PLAIN_FIELDS} | {"ipc_handles": handles}


_PLAIN_FIELDS = ("names", "dtype_names", "shapes", "tensor_sizes")

# Positions in what torch.multiprocessing.reductions.reduce_tensor returns for a CUDA tensor:
# class, size, stride, offset, storage class, dtype, device, handle, storage bytes, offset in the
# allocation, requires_grad, reference count's handle and offset, event handle, whether to wait.
_CLASSES = {0: Tensor, 4: torch.storage.TypedStorage}
_SIZE, _STRIDE, _DTYPE = 1, 2, 5
_BYTES = (7, 11, 13)


def _encode_handle(args: tuple[Any, ...]) -> list[Any]:
    encoded = [None if position in _CLASSES else value for position, value in enumerate(args)]
    encoded[_SIZE] = list(args[_SIZE])
    encoded[_STRIDE] = list(args[_STRIDE])
    encoded[_DTYPE] = str(args[_DTYPE]).removeprefix("torch.")
    for position in _BYTES:
        encoded[position] = b64encode(args[position]).decode()
    return encoded


def _decode_handle(encoded: list[Any]) -> tuple[Any, ...]:
    args = [_CLASSES.get(position, value) for position, value in enumerate(encoded)]
    args[_SIZE] = torch.Size(encoded[_SIZE])
    args[_STRIDE] = tuple(encoded[_STRIDE])
    args[_DTYPE] = getattr(torch, encoded[_DTYPE])
    for position in _BYTES:
        args[position] = b64decode(encoded[position])
    return tuple(args)
