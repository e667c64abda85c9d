"""The frozen reference model's ranks as Ray actors, and the group that calls them together."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray

from openrlhf_core.data.balance import BatchLimits
from openrlhf_core.engines.learner_settings import Hardware, ModelSettings
from openrlhf_core.engines.reference_model import ReferenceModel
from openrlhf_core.orchestration.collect import Call, Collect
from openrlhf_core.orchestration.forward import forward_logprobs
from openrlhf_core.orchestration.placement import Reservation, Seat
from openrlhf_core.sources import Locator
from openrlhf_core.spec.planning.plan import PlannedRank


@dataclass(frozen=True)
class ReferenceSetup:
    """What every reference rank is made with. Made by the driver, read by ReferenceActor."""

    locator: Locator
    source: str
    model: ModelSettings
    hardware: Hardware

    def make(self) -> ReferenceModel:
        """Loads one copy of the model, in the process that calls this."""
        directory = self.locator.locate(self.source, "model", self.model.trust_remote_code)
        return ReferenceModel(replace(self.model, directory=directory), self.hardware)


class ReferenceActor:
    """A shell around one reference model: builds it, forwards a call, returns."""

    def __init__(self, visible_devices: str | None) -> None:
        if visible_devices is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible_devices
        self._model: ReferenceModel

    def build(self, setup: ReferenceSetup) -> None:
        self._model = setup.make()

    def logprobs(self, micro_batches: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        return self._model.logprobs(micro_batches)

    def sleep(self) -> None:
        self._model.sleep()

    def wake(self) -> None:
        self._model.wake()


class ReferenceGroup:
    """All ranks of the reference. `actors` are handles of ReferenceActor, in rank order."""

    def __init__(self, actors: Sequence[Any], limits: BatchLimits, collect: Collect) -> None:
        self._actors = actors
        self._limits = limits
        self._collect = collect

    def build_calls(self, setup: ReferenceSetup) -> list[Call]:
        return [Call(name(i), actor.build.remote(setup)) for i, actor in enumerate(self._actors)]

    def logprobs(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns log-probs of every sequence of token ids, in order and shape as given."""
        return forward_logprobs("reference", self._actors, sequences, self._limits, self._collect)

    def sleep(self) -> None:
        self._collect([Call(name(i), actor.sleep.remote()) for i, actor in enumerate(self._actors)])

    def wake(self) -> None:
        self._collect([Call(name(i), actor.wake.remote()) for i, actor in enumerate(self._actors)])


def name(index: int) -> str:
    return f"reference rank {index}"


def start_reference_group(
    ranks: Sequence[PlannedRank],
    reservation: Reservation,
    environment: Mapping[str, str],
    limits: BatchLimits,
    collect: Collect,
) -> ReferenceGroup | None:
    """Starts an actor for each planned rank; None when the plan has no reference."""
    if not ranks:
        return None
    actor_class = ray.remote(ReferenceActor)
    actors = [
        actor_class.options(**reservation.actor_options(Seat.of_rank(rank), environment)).remote(
            reservation.visible_devices(Seat.of_rank(rank))
        )
        for rank in ranks
    ]
    return ReferenceGroup(actors, limits, collect)
