"""The learner ranks as Ray actors, and the group that calls them together."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray

from openrlhf_core.data.balance import BatchLimits
from openrlhf_core.engines.learner_settings import (
    Hardware,
    ModelSettings,
    PolicyObjective,
    Rank,
    TrainingSettings,
)
from openrlhf_core.engines.protocols import Learner, SyncGroup, WeightInfo
from openrlhf_core.engines.weight_sync.backend import SyncBackend
from openrlhf_core.engines.weight_sync.sender import WeightSender, make_sender
from openrlhf_core.orchestration.collect import Call, Collect
from openrlhf_core.orchestration.forward import forward_logprobs
from openrlhf_core.orchestration.placement import Reservation, Seat
from openrlhf_core.samples import OptimizerBatch
from openrlhf_core.sources import Locator
from openrlhf_core.spec.planning.plan import PlannedRank


@dataclass(frozen=True)
class LearnerSetup:
    """What every rank is made with; its Rank comes beside it. Made by the driver."""

    locator: Locator
    source: str
    model: ModelSettings
    training: TrainingSettings
    objective: PolicyObjective
    hardware: Hardware
    sync_backend: SyncBackend

    def make(self, rank: Rank) -> Learner:
        """Loads one rank's learner, in the process that calls this."""
        # DeepSpeed takes seconds to import, and the driver has no use for it.
        from openrlhf_core.engines.deepspeed.learner import DeepSpeedLearner  # noqa: PLC0415

        directory = self.locator.locate(self.source, "model", self.model.trust_remote_code)
        model = replace(self.model, directory=directory)
        return DeepSpeedLearner(rank, self.hardware, model, self.training, self.objective)

    def make_sender(
        self, group: SyncGroup, weights: Sequence[WeightInfo], rank: int
    ) -> WeightSender:
        """Joins the group that weights go out through."""
        return make_sender(self.sync_backend, group, weights, rank)


class LearnerActor:
    """A shell around one learner rank: builds it, forwards a call, returns."""

    def __init__(self, visible_devices: str | None) -> None:
        if visible_devices is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible_devices
        self._setup: LearnerSetup
        self._rank: Rank
        self._learner: Learner
        self._sender: WeightSender

    def free_address(self) -> tuple[str, int]:
        """Returns this node's address and a port that is free there now."""
        host: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        with socket.socket() as probe:
            probe.bind((host, 0))
            return host, probe.getsockname()[1]

    def build(self, setup: LearnerSetup, rank: Rank) -> None:
        self._setup, self._rank = setup, rank
        self._learner = setup.make(rank)

    def weight_infos(self) -> list[WeightInfo]:
        return [
            WeightInfo(name, str(weight.dtype).removeprefix("torch."), tuple(weight.shape))
            for name, weight in self._learner.weights()
        ]

    def connect(self, group: SyncGroup, weights: Sequence[WeightInfo]) -> None:
        self._sender = self._setup.make_sender(group, weights, self._rank.index)

    def send_weights(self) -> None:
        self._sender.send(self._learner.weights())

    def logprobs(self, micro_batches: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        return self._learner.logprobs(micro_batches)

    def update(self, batch: OptimizerBatch, may_abandon: bool) -> dict[str, float]:
        return self._learner.update(batch, may_abandon=may_abandon)

    @ray.method(concurrency_group="control")
    def abandon(self) -> None:
        self._learner.abandon()

    def save(self, directory: Path) -> None:
        self._learner.save(directory)

    def load(self, directory: Path) -> None:
        self._learner.load(directory)

    def export(self, directory: Path) -> None:
        self._learner.export(directory)

    def sleep(self) -> None:
        self._learner.sleep()

    def wake(self) -> None:
        self._learner.wake()


class LearnerGroup:
    """All ranks of the policy's learner. `actors` are handles of LearnerActor, in rank order."""

    def __init__(self, actors: Sequence[Any], limits: BatchLimits, collect: Collect) -> None:
        self._actors = actors
        self._limits = limits
        self._collect = collect

    @property
    def num_ranks(self) -> int:
        return len(self._actors)

    def build_calls(self, setup: LearnerSetup) -> list[Call]:
        """Starts loading on all ranks; they meet at a free port of rank 0's node."""
        host, port = self._free_address()
        ranks = [Rank(i, self.num_ranks, host, port) for i in range(self.num_ranks)]
        return [
            Call(name(rank.index), actor.build.remote(setup, rank))
            for actor, rank in zip(self._actors, ranks, strict=True)
        ]

    def logprobs(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns log-probs of every sequence of token ids, in order and shape as given."""
        return forward_logprobs("learner", self._actors, sequences, self._limits, self._collect)

    def update(
        self, batches: Sequence[OptimizerBatch], *, may_abandon: bool = False
    ) -> dict[str, float]:
        """Does one optimizer step, `batches` by rank; returns metrics over all ranks.

        A request to stop waits for its end, as long as the grace period lasts, or ends it with
        WorkAbandoned where it may be abandoned.
        """
        calls = [
            Call(name(rank), actor.update.remote(batch, may_abandon))
            for rank, (actor, batch) in enumerate(zip(self._actors, batches, strict=True))
        ]
        on_stop = self.abandon if may_abandon else None
        metrics: dict[str, float] = self._collect(calls, finish=True, on_stop=on_stop)[0]
        return metrics

    def abandon(self) -> None:
        """Tells every rank to leave the work it may leave; only saving may follow."""
        for actor in self._actors:
            actor.abandon.remote()

    def save(self, directory: Path) -> None:
        self._all([actor.save.remote(directory) for actor in self._actors])

    def load(self, directory: Path) -> None:
        self._all([actor.load.remote(directory) for actor in self._actors])

    def export(self, directory: Path) -> None:
        self._all([actor.export.remote(directory) for actor in self._actors])

    def sleep(self) -> None:
        self._all([actor.sleep.remote() for actor in self._actors])

    def wake(self) -> None:
        self._all([actor.wake.remote() for actor in self._actors])

    def weight_infos(self) -> list[WeightInfo]:
        infos: list[WeightInfo] = self._all([a.weight_infos.remote() for a in self._actors])[0]
        return infos

    def open_sync_group(
        self, num_receivers: int, timeout_seconds: float, bucket_bytes: int
    ) -> SyncGroup:
        """Chooses where rank 0 and `num_receivers` engine workers meet: on rank 0's node."""
        host, port = self._free_address()
        return SyncGroup(host, port, 1 + num_receivers, timeout_seconds, bucket_bytes)

    def connect_calls(self, group: SyncGroup, weights: Sequence[WeightInfo]) -> list[Call]:
        return [
            Call(name(i), actor.connect.remote(group, weights))
            for i, actor in enumerate(self._actors)
        ]

    def send_calls(self) -> list[Call]:
        return [Call(name(i), actor.send_weights.remote()) for i, actor in enumerate(self._actors)]

    def _free_address(self) -> tuple[str, int]:
        address: tuple[str, int] = self._all([self._actors[0].free_address.remote()])[0]
        return address

    def _all(self, references: Sequence[Any]) -> list[Any]:
        calls = [Call(name(i), reference) for i, reference in enumerate(references)]
        return self._collect(calls, finish=True)


def name(index: int) -> str:
    return f"learner rank {index}"


def start_learner_group(
    ranks: Sequence[PlannedRank],
    reservation: Reservation,
    environment: Mapping[str, str],
    limits: BatchLimits,
    collect: Collect,
) -> LearnerGroup:
    """Starts an actor for each planned rank; `build_calls` then loads the model."""
    # Ray's types do not know the option.
    actor_class = ray.remote(concurrency_groups={"control": 1})(LearnerActor)  # type: ignore[call-overload]
    actors = [
        actor_class.options(**reservation.actor_options(Seat.of_rank(rank), environment)).remote(
            reservation.visible_devices(Seat.of_rank(rank))
        )
        for rank in ranks
    ]
    return LearnerGroup(actors, limits, collect)
