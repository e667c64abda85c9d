"""The rollout engines as Ray actors, and the group that calls them together."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from openrlhf_core.engines.protocols import (
    Completion,
    GenerationRequest,
    RolloutEngine,
    SyncGroup,
    WeightInfo,
)
from openrlhf_core.engines.vllm.environment import DeviceKind
from openrlhf_core.engines.weight_sync.backend import SyncBackend
from openrlhf_core.orchestration.collect import Call, Collect
from openrlhf_core.orchestration.placement import Reservation, Seat
from openrlhf_core.sources import Locator
from openrlhf_core.spec.kinds.rollout import RolloutSpec
from openrlhf_core.spec.planning.plan import PlannedEngine
from openrlhf_core.spec.planning.presets import DType


@dataclass(frozen=True)
class RolloutSetup:
    """What an engine is made with. Made by the driver, read by RolloutActor."""

    locator: Locator
    source: str
    spec: RolloutSpec
    max_sequence_length: int
    dtype: DType
    seed: int
    device_kind: DeviceKind
    sync_backend: SyncBackend
    can_sleep: bool
    trust_remote_code: bool

    def make(self) -> RolloutEngine:
        """Loads an engine, in the process that calls this."""
        # vLLM takes seconds to import and reads its environment then: only in an engine's process.
        from openrlhf_core.engines.vllm.rollout import (  # noqa: PLC0415
            EngineSettings,
            VllmRolloutEngine,
        )

        directory = self.locator.locate(self.source, "model", self.trust_remote_code)
        settings = EngineSettings(
            max_sequence_length=self.max_sequence_length,
            dtype=self.dtype,
            seed=self.seed,
            device_kind=self.device_kind,
            sync_backend=self.sync_backend,
            can_sleep=self.can_sleep,
            trust_remote_code=self.trust_remote_code,
        )
        return VllmRolloutEngine(directory, self.spec, settings)


class RolloutActor:
    """A shell around one engine: builds it, forwards a call, returns."""

    def __init__(self, visible_devices: str | None) -> None:
        if visible_devices is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible_devices
        self._engine: RolloutEngine

    def build(self, setup: RolloutSetup) -> None:
        self._engine = setup.make()

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        return self._engine.generate(requests)

    def connect(self, group: SyncGroup, first_rank: int, weights: Sequence[WeightInfo]) -> None:
        self._engine.connect(group, first_rank, weights)

    def receive_weights(self, policy_version: int) -> int:
        return self._engine.receive_weights(policy_version)

    def sleep(self) -> None:
        self._engine.sleep()

    def wake(self) -> None:
        self._engine.wake()


class RolloutGroup:
    """All engines of a run. `actors` are handles of RolloutActor."""

    def __init__(self, actors: Sequence[Any], tensor_parallel_size: int, collect: Collect) -> None:
        self._actors = actors
        self._tensor_parallel_size = tensor_parallel_size
        self._collect = collect

    @property
    def num_workers(self) -> int:
        """Engine processes that weights go to."""
        return len(self._actors) * self._tensor_parallel_size

    def build_calls(self, setups: Sequence[RolloutSetup]) -> list[Call]:
        """Starts loading, each engine by its own setup."""
        pairs = zip(self._actors, setups, strict=True)
        return [Call(name(i), actor.build.remote(setup)) for i, (actor, setup) in enumerate(pairs)]

    def generate(self, requests: Sequence[GenerationRequest], group_size: int) -> list[Completion]:
        """Completes all requests, in order; every engine gets its share at once."""
        shares = assign(len(requests), group_size, len(self._actors))
        calls = [
            Call(name(i), actor.generate.remote([requests[index] for index in share]))
            for i, (actor, share) in enumerate(zip(self._actors, shares, strict=True))
        ]
        completions: dict[int, Completion] = {}
        for share, part in zip(shares, self._collect(calls), strict=True):
            completions.update(zip(share, part, strict=True))
        return [completions[index] for index in range(len(requests))]

    def connect_calls(self, group: SyncGroup, weights: Sequence[WeightInfo]) -> list[Call]:
        size = self._tensor_parallel_size
        return [
            Call(name(i), actor.connect.remote(group, 1 + i * size, weights))
            for i, actor in enumerate(self._actors)
        ]

    def receive_calls(self, policy_version: int) -> list[Call]:
        return [
            Call(name(i), actor.receive_weights.remote(policy_version))
            for i, actor in enumerate(self._actors)
        ]

    def sleep(self) -> None:
        self._collect([Call(name(i), actor.sleep.remote()) for i, actor in enumerate(self._actors)])

    def wake(self) -> None:
        self._collect([Call(name(i), actor.wake.remote()) for i, actor in enumerate(self._actors)])

    def kill(self) -> None:
        """Ends the engines at once, busy or not, so that their devices are free."""
        for actor in self._actors:
            ray.kill(actor)


def name(index: int) -> str:
    return f"rollout engine {index}"


def assign(num_requests: int, group_size: int, num_engines: int) -> list[list[int]]:
    """Returns the request numbers of each engine: whole groups in turn, so prefixes are shared.

    Static: the same requests go to the same engines whenever a run is repeated.
    """
    shares: list[list[int]] = [[] for _ in range(num_engines)]
    for index in range(num_requests):
        shares[(index // group_size) % num_engines].append(index)
    return shares


def start_rollout_group(
    engines: Sequence[PlannedEngine],
    reservation: Reservation,
    environment: Mapping[str, str],
    collect: Collect,
) -> RolloutGroup:
    """Starts an actor for each planned engine; `build_calls` then loads the models."""
    actor_class = ray.remote(RolloutActor)
    actors = [
        actor_class.options(
            **reservation.actor_options(Seat.of_engine(engine), environment)
        ).remote(reservation.visible_devices(Seat.of_engine(engine)))
        for engine in engines
    ]
    return RolloutGroup(actors, engines[0].tensor_parallel_size, collect)
