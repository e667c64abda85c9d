"""The rollout engines as Ray actors, and the group that calls them together."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import ray

from openrlhf_core.engines.protocols import (
    Completion,
    GenerationRequest,
    RequestId,
    RolloutEngine,
    SyncGroup,
    WeightInfo,
)
from openrlhf_core.engines.vllm.environment import forget_overrides
from openrlhf_core.engines.vllm.settings import EngineSettings
from openrlhf_core.garbage_collection import collector_paused
from openrlhf_core.orchestration.actor_group import ActorGroup, Launcher
from openrlhf_core.orchestration.collect import Call, Collect
from openrlhf_core.orchestration.placement import Seat
from openrlhf_core.orchestration.rollout_buffer import RolloutBuffer
from openrlhf_core.orchestration.worker_process import enter_worker
from openrlhf_core.sources import Locator
from openrlhf_core.spec.planning.plan import PlannedEngine

POLL_SECONDS = 0.5
"""Longest time that an engine generates before it reports what is complete."""


@dataclass(frozen=True)
class RolloutSetup:
    """What an engine is made with. Made by the driver, read by RolloutActor."""

    locator: Locator
    source: str
    engine: EngineSettings

    def make(self) -> RolloutEngine:
        """Loads an engine, in the process that calls this."""
        forget_overrides(os.environ)
        # vLLM takes seconds to import and reads its environment then: only in an engine's process.
        with collector_paused():
            from openrlhf_core.engines.vllm.rollout import load_engine  # noqa: PLC0415

        trust_remote_code = self.engine.trust_remote_code
        directory = self.locator.locate(self.source, "model", trust_remote_code)
        return load_engine(directory, self.engine)


class RolloutActor:
    """A shell around one engine: builds it, forwards a call, returns.

    Calls of the concurrency group `control` are answered while another call runs.
    """

    def __init__(self, visible_devices: str | None) -> None:
        enter_worker(visible_devices)
        self._engine: RolloutEngine

    def build(self, setup: RolloutSetup) -> None:
        self._engine = setup.make()

    def submit(self, requests: Sequence[GenerationRequest]) -> None:
        self._engine.submit(requests)

    def poll(self, max_seconds: float) -> list[Completion]:
        return self._engine.poll(max_seconds)

    @ray.method(concurrency_group="control")
    def abort(self, request_ids: Sequence[RequestId]) -> None:
        self._engine.abort(request_ids)

    @ray.method(concurrency_group="control")
    def pause(self) -> None:
        self._engine.pause()

    @ray.method(concurrency_group="control")
    def resume(self) -> None:
        self._engine.resume()

    def connect(self, group: SyncGroup, first_rank: int, weights: Sequence[WeightInfo]) -> None:
        self._engine.connect(group, first_rank, weights)

    def receive_weights(self, policy_version: int) -> int:
        return self._engine.receive_weights(policy_version)

    def sleep(self) -> None:
        self._engine.sleep()

    def wake(self) -> None:
        self._engine.wake()


class RolloutGroup:
    """All engines of a run. `actors` are handles of RolloutActor.

    `capacity` bounds the requests that are under way or complete and not yet taken.
    """

    def __init__(
        self, actors: ActorGroup, tensor_parallel_size: int, capacity: int, collect: Collect
    ) -> None:
        self._actors = actors
        self._tensor_parallel_size = tensor_parallel_size
        self._collect = collect
        self._buffer = RolloutBuffer(capacity)
        self._under_way: list[set[RequestId]] = [set() for _ in range(len(actors))]
        """Requests of each engine."""

    @property
    def num_workers(self) -> int:
        """Engine processes that weights go to."""
        return len(self._actors) * self._tensor_parallel_size

    def build_calls(self, setups: Sequence[RolloutSetup]) -> list[Call]:
        """Starts loading, each engine by its own setup."""
        return self._actors.calls_with(lambda actor, setup: actor.build.remote(setup), setups)

    def submit(self, requests: Sequence[GenerationRequest]) -> None:
        """Gives every engine its share; generation begins with `take`."""
        self._buffer.expect([request.request_id for request in requests])
        shares = assign(requests, len(self._actors))
        for under_way, share in zip(self._under_way, shares, strict=True):
            under_way.update(request.request_id for request in share)
        self._collect(
            self._actors.calls_with(lambda actor, share: actor.submit.remote(share), shares)
        )

    def take(self, count: int) -> list[Completion]:
        """Generates until the oldest `count` requests are complete and returns them in order."""
        while not self._buffer.is_ready(count):
            self._poll()
        return self._buffer.take(count)

    def abort(self, request_ids: Sequence[RequestId]) -> None:
        """Drops requests, with their completions if they have any."""
        dropped = set(request_ids)
        self._buffer.drop(request_ids)
        shares = [sorted(under_way & dropped) for under_way in self._under_way]
        for under_way, share in zip(self._under_way, shares, strict=True):
            under_way.difference_update(share)
        self._collect(
            self._actors.calls_with(lambda actor, share: actor.abort.remote(share), shares)
        )

    def pause(self) -> None:
        """Stops generation between two tokens; requests are kept."""
        self._actors.all(lambda actor: actor.pause.remote())

    def resume(self) -> None:
        """Lets engines generate again."""
        self._actors.all(lambda actor: actor.resume.remote())

    def connect_calls(self, group: SyncGroup, weights: Sequence[WeightInfo]) -> list[Call]:
        size = self._tensor_parallel_size
        first_ranks = [1 + index * size for index in range(len(self._actors))]
        return self._actors.calls_with(
            lambda actor, first_rank: actor.connect.remote(group, first_rank, weights), first_ranks
        )

    def receive_calls(self, policy_version: int) -> list[Call]:
        return self._actors.calls(lambda actor: actor.receive_weights.remote(policy_version))

    def sleep(self) -> None:
        self._actors.sleep()

    def wake(self) -> None:
        self._actors.wake()

    def kill(self) -> None:
        """Ends the engines at once, busy or not, so that their devices are free."""
        self._actors.kill()

    def _poll(self) -> None:
        busy = [index for index, under_way in enumerate(self._under_way) if under_way]
        calls = [self._actors.call(i, lambda actor: actor.poll.remote(POLL_SECONDS)) for i in busy]
        for index, completions in zip(busy, self._collect(calls), strict=True):
            for completion in completions:
                self._under_way[index].remove(completion.request_id)
                self._buffer.add(completion)


def assign(
    requests: Sequence[GenerationRequest], num_engines: int
) -> list[list[GenerationRequest]]:
    """Returns the requests of each engine: whole prompts in turn, so that prefixes are shared.

    Static: the same requests go to the same engines whenever a run is repeated.
    """
    shares: list[list[GenerationRequest]] = [[] for _ in range(num_engines)]
    prompts = groupby(requests, key=lambda request: request.request_id.prompt_id)
    for number, (_, group) in enumerate(prompts):
        shares[number % num_engines].extend(group)
    return shares


def start_rollout_group(
    launcher: Launcher, engines: Sequence[PlannedEngine], capacity: int
) -> RolloutGroup:
    """Starts an actor for each planned engine; `build_calls` then loads the models."""
    # Ray's types do not know the option.
    actor_class = ray.remote(concurrency_groups={"control": 1})(RolloutActor)  # type: ignore[call-overload]
    seats = [Seat.of_engine(engine) for engine in engines]
    actors = launcher.start("rollout engine", actor_class, seats)
    return RolloutGroup(actors, engines[0].tensor_parallel_size, capacity, launcher.collect)
