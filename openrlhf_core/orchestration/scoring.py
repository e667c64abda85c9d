"""Frozen models that score tokens, as Ray actors, and how any role's ranks share sequences out.

A scorer is the reference today. Its ranks work apart: each holds the whole model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import ray

from openrlhf_core.data.balance import BatchLimits, plan_forward
from openrlhf_core.engines.learner_settings import Hardware, ModelSettings
from openrlhf_core.garbage_collection import collector_paused
from openrlhf_core.objectives.outputs import ModelOutput
from openrlhf_core.orchestration.actor_group import ActorGroup, Launcher
from openrlhf_core.orchestration.collect import Call, Collect
from openrlhf_core.orchestration.placement import Seat
from openrlhf_core.orchestration.worker_process import enter_worker
from openrlhf_core.sources import Locator
from openrlhf_core.spec.kinds.placement import Role
from openrlhf_core.spec.planning.plan import PlannedRank

if TYPE_CHECKING:
    from openrlhf_core.engines.scoring_model import ScoringModel


@dataclass(frozen=True)
class ScorerSetup:
    """What every rank of a frozen role is made with. Made by the driver, read by ScorerActor."""

    locator: Locator
    source: str
    model: ModelSettings
    output: ModelOutput
    hardware: Hardware

    def make(self) -> "ScoringModel":
        """Loads one copy of the model, in the process that calls this."""
        # transformers takes seconds to import, and the driver has no use for models.
        with collector_paused():
            from openrlhf_core.engines.scoring_model import ScoringModel  # noqa: PLC0415

        directory = self.locator.locate(self.source, "model", self.model.trust_remote_code)
        return ScoringModel(directory, self.model, self.hardware, self.output)


class ScorerActor:
    """A shell around one frozen model: builds it, forwards a call, returns."""

    def __init__(self, visible_devices: str | None) -> None:
        enter_worker(visible_devices)
        self._model: ScoringModel

    def build(self, setup: ScorerSetup) -> None:
        self._model = setup.make()

    def score(self, micro_batches: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        return self._model.score(micro_batches)

    def sleep(self) -> None:
        self._model.sleep()

    def wake(self) -> None:
        self._model.wake()


class ScorerGroup:
    """All ranks of one frozen role."""

    def __init__(self, actors: ActorGroup, limits: BatchLimits, collect: Collect) -> None:
        self._actors = actors
        self._limits = limits
        self._collect = collect

    def build_calls(self, setup: ScorerSetup) -> list[Call]:
        return self._actors.calls(lambda actor: actor.build.remote(setup))

    def score(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns log-probs of every sequence of token ids, in order and shape as given."""
        return score(self._actors, sequences, self._limits, self._collect)

    def sleep(self) -> None:
        self._actors.sleep()

    def wake(self) -> None:
        self._actors.wake()

    def kill(self) -> None:
        self._actors.kill()


def score(
    actors: ActorGroup,
    sequences: Sequence[np.ndarray],
    limits: BatchLimits,
    collect: Collect,
) -> list[np.ndarray]:
    """Shares sequences of token ids over the ranks; results in order and shape as given."""
    shares = plan_forward([(len(ids),) for ids in sequences], len(actors), limits)
    calls = actors.calls_with(
        lambda actor, share: actor.score.remote([[sequences[i] for i in batch] for batch in share]),
        shares,
    )
    found: dict[int, np.ndarray] = {}
    for share, parts in zip(shares, collect(calls), strict=True):
        for batch, part in zip(share, parts, strict=True):
            found.update(zip(batch, part, strict=True))
    return [found[index] for index in range(len(sequences))]


def start_scorer_group(
    launcher: Launcher, role: Role, ranks: Sequence[PlannedRank], limits: BatchLimits
) -> ScorerGroup:
    """Starts an actor for each planned rank; `build_calls` then loads the model."""
    seats = [Seat.of_rank(rank) for rank in ranks]
    actors = launcher.start(f"{role.lower()} rank", ray.remote(ScorerActor), seats)
    return ScorerGroup(actors, limits, launcher.collect)
