"""The learner ranks of a trained role as Ray actors, and the group that calls them together."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray

from openrlhf_core.checkpoint_manifest import FileEntry, changed_files, describe_files
from openrlhf_core.data.balance import BatchLimits
from openrlhf_core.engines.learner_settings import (
    Hardware,
    ModelSettings,
    Rank,
    TrainingSettings,
)
from openrlhf_core.engines.protocols import Learner, SyncGroup, WeightInfo
from openrlhf_core.engines.weight_sync.backend import SyncBackend
from openrlhf_core.engines.weight_sync.sender import WeightSender, make_sender
from openrlhf_core.garbage_collection import collector_paused
from openrlhf_core.objectives.metrics import Measurement
from openrlhf_core.objectives.objective import Objective
from openrlhf_core.orchestration.actor_group import ActorGroup, Launcher
from openrlhf_core.orchestration.collect import Call, Collect
from openrlhf_core.orchestration.placement import Seat
from openrlhf_core.orchestration.scoring import score
from openrlhf_core.orchestration.worker_process import enter_worker
from openrlhf_core.samples import OptimizerBatch
from openrlhf_core.sources import Locator
from openrlhf_core.spec.kinds.placement import Role
from openrlhf_core.spec.planning.plan import PlannedRank


@dataclass(frozen=True)
class LearnerSetup:
    """What every rank is made with; its Rank comes beside it. Made by the driver."""

    locator: Locator
    source: str
    model: ModelSettings
    training: TrainingSettings
    objective: Objective[Any, Any]
    hardware: Hardware

    def make(self, rank: Rank) -> Learner:
        """Loads one rank's learner, in the process that calls this."""
        # DeepSpeed takes seconds to import, and the driver has no use for it.
        with collector_paused():
            from openrlhf_core.engines.deepspeed.learner import DeepSpeedLearner  # noqa: PLC0415

        directory = self.locator.locate(self.source, "model", self.model.trust_remote_code)
        return DeepSpeedLearner(
            rank,
            self.hardware,
            directory=directory,
            model=self.model,
            training=self.training,
            objective=self.objective,
        )

    def make_sender(
        self, backend: SyncBackend, group: SyncGroup, weights: Sequence[WeightInfo], rank: int
    ) -> WeightSender:
        """Joins the group that weights go out through."""
        return make_sender(backend, group, weights, rank)


class LearnerActor:
    """A shell around one learner rank: builds it, forwards a call, returns."""

    def __init__(self, visible_devices: str | None) -> None:
        enter_worker(visible_devices)
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

    def describe(self) -> list[WeightInfo]:
        return self._learner.describe()

    def connect(
        self, backend: SyncBackend, group: SyncGroup, weights: Sequence[WeightInfo]
    ) -> None:
        self._sender = self._setup.make_sender(backend, group, weights, self._rank.index)

    def send_weights(self) -> None:
        self._sender.send(self._learner.weights())

    def score(self, micro_batches: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        return self._learner.score(micro_batches)

    def update(self, batch: OptimizerBatch[Any], may_abandon: bool) -> dict[str, Measurement]:
        return self._learner.update(batch, may_abandon=may_abandon)

    @ray.method(concurrency_group="control")
    def abandon(self) -> None:
        self._learner.abandon()

    def save(self, checkpoint: Path, directory: Path) -> list[FileEntry]:
        return flushed(checkpoint, directory, self._learner.save(directory))

    def load(self, directory: Path) -> None:
        self._learner.load(directory)

    def export(self, checkpoint: Path, directory: Path) -> list[FileEntry]:
        return flushed(checkpoint, directory, self._learner.export(directory))

    def changed_files(self, directory: Path, entries: Sequence[FileEntry]) -> list[str]:
        return changed_files(directory, entries)

    def sleep(self) -> None:
        self._learner.sleep()

    def wake(self) -> None:
        self._learner.wake()


def flushed(checkpoint: Path, directory: Path, files: Sequence[Path]) -> list[FileEntry]:
    """Hashes and fsyncs `files` of `directory`, which lies in `checkpoint`."""
    paths = [(directory / file).relative_to(checkpoint) for file in files]
    return list(describe_files(checkpoint, paths, flush=True))


class LearnerGroup:
    """All ranks of the learner of one trained role."""

    def __init__(self, actors: ActorGroup, limits: BatchLimits, collect: Collect) -> None:
        self._actors = actors
        self._limits = limits
        self._collect = collect

    def build_calls(self, setup: LearnerSetup) -> list[Call]:
        """Starts loading on all ranks; they meet at a free port of rank 0's node."""
        host, port = self._free_address()
        ranks = [Rank(i, len(self._actors), host, port) for i in range(len(self._actors))]
        return self._actors.calls_with(lambda actor, rank: actor.build.remote(setup, rank), ranks)

    def score(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns log-probs of every sequence of token ids, in order and shape as given."""
        return score(self._actors, sequences, self._limits, self._collect)

    def update(
        self, batches: Sequence[OptimizerBatch[Any]], *, may_abandon: bool = False
    ) -> dict[str, Measurement]:
        """Does one optimizer step, `batches` by rank; returns metrics over all ranks.

        A request to stop waits for its end, as long as the grace period lasts, or ends it with
        WorkAbandoned where it may be abandoned.
        """
        calls = self._actors.calls_with(
            lambda actor, batch: actor.update.remote(batch, may_abandon), batches
        )
        on_stop = self.abandon if may_abandon else None
        metrics: dict[str, Measurement] = self._collect(calls, finish=True, on_stop=on_stop)[0]
        return metrics

    def abandon(self) -> None:
        """Tells every rank to leave the work it may leave; only saving may follow."""
        self._actors.tell(lambda actor: actor.abandon.remote())

    def save(self, checkpoint: Path, directory: Path) -> list[FileEntry]:
        """Writes what `load` needs into `directory` of a checkpoint; hashed and fsynced."""
        parts = self._actors.all(lambda actor: actor.save.remote(checkpoint, directory))
        return [entry for part in parts for entry in part]

    def load(self, directory: Path) -> None:
        self._actors.all(lambda actor: actor.load.remote(directory))

    def export(self, checkpoint: Path, directory: Path) -> list[FileEntry]:
        """Writes the model into `directory` of a checkpoint; hashed and fsynced."""
        parts = self._actors.all(lambda actor: actor.export.remote(checkpoint, directory))
        return [entry for part in parts for entry in part]

    def changed_files(self, directory: Path, entries: Sequence[FileEntry]) -> list[str]:
        """Names the files of a checkpoint that no longer match; every rank reads a share."""
        calls = self._actors.calls_with(
            lambda actor, share: actor.changed_files.remote(directory, share),
            shares_of(entries, len(self._actors)),
        )
        return [path for part in self._collect(calls) for path in part]

    def sleep(self) -> None:
        self._actors.sleep()

    def wake(self) -> None:
        self._actors.wake()

    def describe_weights(self) -> list[WeightInfo]:
        """Names, dtypes and whole shapes of the weights, in the order in which they are sent."""
        infos: list[WeightInfo] = self._actors.first(lambda actor: actor.describe.remote())
        return infos

    def open_sync_group(
        self, num_receivers: int, timeout_seconds: float, bucket_bytes: int
    ) -> SyncGroup:
        """Chooses where rank 0 and `num_receivers` engine workers meet: on rank 0's node."""
        host, port = self._free_address()
        return SyncGroup(host, port, 1 + num_receivers, timeout_seconds, bucket_bytes)

    def connect_calls(
        self, backend: SyncBackend, group: SyncGroup, weights: Sequence[WeightInfo]
    ) -> list[Call]:
        return self._actors.calls(lambda actor: actor.connect.remote(backend, group, weights))

    def send_calls(self) -> list[Call]:
        return self._actors.calls(lambda actor: actor.send_weights.remote())

    def _free_address(self) -> tuple[str, int]:
        address: tuple[str, int] = self._actors.first(lambda actor: actor.free_address.remote())
        return address


def shares_of(entries: Sequence[FileEntry], count: int) -> list[list[FileEntry]]:
    """Splits files into `count` shares of about equal bytes, the largest files first."""
    shares: list[list[FileEntry]] = [[] for _ in range(count)]
    loads = [0] * count
    for entry in sorted(entries, key=lambda entry: entry.size, reverse=True):
        lightest = loads.index(min(loads))
        shares[lightest].append(entry)
        loads[lightest] += entry.size
    return shares


def start_learner_group(
    launcher: Launcher, role: Role, ranks: Sequence[PlannedRank], limits: BatchLimits
) -> LearnerGroup:
    """Starts an actor for each planned rank; `build_calls` then loads the model."""
    # Ray's types do not know the option.
    actor_class = ray.remote(concurrency_groups={"control": 1})(LearnerActor)  # type: ignore[call-overload]
    seats = [Seat.of_rank(rank) for rank in ranks]
    actors = launcher.start(f"{role.lower()} rank", actor_class, seats)
    return LearnerGroup(actors, limits, launcher.collect)
