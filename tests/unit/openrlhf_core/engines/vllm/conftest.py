"""Builders for weights, groups and threads that the tests of this folder share."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from openrlhf_core.engines.protocols import SyncGroup, WeightInfo


@pytest.fixture
def make_group() -> Callable[..., SyncGroup]:
    def make(world_size: int = 2, timeout_seconds: float = 10.0) -> SyncGroup:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        return SyncGroup("127.0.0.1", port, world_size, timeout_seconds, bucket_bytes=64)

    return make


@pytest.fixture
def weights() -> list[tuple[str, torch.Tensor]]:
    """Five weights of two dtypes; `embed` alone is larger than a bucket of 64 bytes."""
    return [
        ("embed", torch.arange(24, dtype=torch.float32).reshape(6, 4)),
        ("norm", torch.tensor([1.5, -2.0, 0.25])),
        ("up", torch.arange(12, dtype=torch.float32).reshape(3, 4).T),
        ("gate", torch.linspace(-1, 1, 8, dtype=torch.bfloat16).reshape(2, 4)),
        ("scale", torch.tensor(7.0)),
    ]


@pytest.fixture
def announce() -> Callable[[list[tuple[str, torch.Tensor]]], list[WeightInfo]]:
    def infos(weights: list[tuple[str, torch.Tensor]]) -> list[WeightInfo]:
        return [
            WeightInfo(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
            for name, tensor in weights
        ]

    return infos


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], object]], "Outcome"]]:
    outcomes: list[Outcome] = []

    def start(function: Callable[[], object]) -> Outcome:
        outcomes.append(Outcome(function))
        return outcomes[-1]

    yield start
    for outcome in outcomes:
        outcome.thread.join(10)


class Outcome:
    """What a function that runs in a thread returns or raises."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._value: object = None
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._value = self._function()
        except BaseException as error:
            self._error = error

    def get(self) -> object:
        self.thread.join(20)
        assert not self.thread.is_alive(), "still running after 20 s"
        if self._error is not None:
            raise self._error
        return self._value
