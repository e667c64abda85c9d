"""A run of a supervised recipe: what is prepared, and the processes that train."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

import numpy as np
from transformers import PreTrainedTokenizerBase

from openrlhf_core.algorithms.aggregate import LossAggregation
from openrlhf_core.checkpoint import Checkpoint
from openrlhf_core.checkpoint_manifest import FileEntry
from openrlhf_core.data.sample_stream import SampleDataset, SampleStream
from openrlhf_core.objectives.objective import Objective, S
from openrlhf_core.orchestration.collect import make_collect
from openrlhf_core.recipes.crew import (
    Crew,
    Setups,
    batch_limits,
    leave_work,
    load_crew,
    save_crew,
    start_crew,
)
from openrlhf_core.recipes.preparation import policy_tokenizer, total_steps
from openrlhf_core.recipes.recipe import RunInputs
from openrlhf_core.recipes.run.journal import Journal
from openrlhf_core.recipes.setups import learner_setup, reference_setup
from openrlhf_core.recipes.supervised.step import R, StepSettings, SupervisedWorkers, train_step
from openrlhf_core.spec.kinds.placement import Role
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.stop import StopFlag

FrozenScores = Callable[[Role, Sequence[np.ndarray]], list[np.ndarray]]
"""What the frozen model of a role says of each token of sequences, in order and shape as given."""


@dataclass(frozen=True)
class SupervisedKind(Generic[R, S]):
    """What sets one supervised recipe apart from the others."""

    load: Callable[[RunInputs, PreTrainedTokenizerBase], Sequence[SampleDataset[R]]]
    """Reads and tokenises the training data."""
    to_samples: Callable[[Sequence[R], FrozenScores], Sequence[S]]
    """Makes the objective's samples of rows, with the scores of frozen models where it has any."""
    objective: Callable[[TrainingSpec], Objective[S, Any]]
    aggregation: LossAggregation = field(default_factory=LossAggregation)
    """How the losses of an optimizer step become one number."""


def prepare_supervised(inputs: RunInputs, kind: SupervisedKind[R, S]) -> "PreparedSupervised[R, S]":
    """Reads tokenizer and data and fixes every number, before a device is taken."""
    training, tokenizer = inputs.config.training, policy_tokenizer(inputs)
    stream = SampleStream(list(kind.load(inputs, tokenizer)), training.seed)
    learner = inputs.resolved.learners["Policy"]
    settings = StepSettings(
        total_steps=total_steps(
            training, stream.epoch_size, learner.train_batch_size, "learner.trainBatchSize"
        ),
        seed=training.seed,
        train_batch_size=learner.train_batch_size,
        num_data_shards=inputs.resolved.plan.num_data_shards("Policy"),
        limits=batch_limits(inputs.resolved),
        aggregation=kind.aggregation,
    )
    return PreparedSupervised(inputs, kind, settings, stream, tokenizer.pad_token_id)


@dataclass(frozen=True)
class PreparedSupervised(Generic[R, S]):
    """Implements `recipe.Prepared`: tokenizer and data are read, every number is fixed."""

    inputs: RunInputs
    kind: SupervisedKind[R, S]
    settings: StepSettings
    stream: SampleStream[R]
    pad_id: int

    @property
    def total_steps(self) -> int:
        return self.settings.total_steps

    @property
    def dataset_fingerprint(self) -> str:
        return self.stream.fingerprint

    def start(self, stop: StopFlag) -> "SupervisedSession[R, S]":
        """Reserves the devices and starts every role's processes."""
        crew = start_crew(self.inputs.config, self.inputs.resolved, make_collect(stop))
        return SupervisedSession(self, crew)


class SupervisedSession(Generic[R, S]):
    """Implements `recipe.Session`."""

    def __init__(self, prepared: PreparedSupervised[R, S], crew: Crew) -> None:
        self._prepared = prepared
        self._crew = crew
        self._policy = crew.learners["Policy"]
        self._workers = SupervisedWorkers(
            prepared.stream,
            lambda rows: prepared.kind.to_samples(rows, self._score),
            self._policy,
            crew.turns,
        )

    def changed_files(self, directory: Path, entries: Sequence[FileEntry]) -> list[str]:
        return self._policy.changed_files(directory, entries)

    def load(self, found: Checkpoint | None, journal: Journal) -> None:
        load_crew(self._crew, self._setups(), found, journal.trust_weights)

    def step(self, journal: Journal) -> None:
        train_step(self._prepared.settings, self._workers, journal)

    def save(self, directory: Path) -> list[FileEntry]:
        return save_crew(self._crew, directory)

    def leave_work(self) -> None:
        leave_work(self._crew)

    def _setups(self) -> Setups:
        prepared = self._prepared
        inputs, pad_id = prepared.inputs, prepared.pad_id
        objective = prepared.kind.objective(inputs.config.training)
        policy = learner_setup(
            inputs, objective, pad_id=pad_id, num_optimizer_steps=prepared.total_steps
        )
        reference = reference_setup(inputs, objective.output, pad_id=pad_id)
        return Setups({"Policy": policy}, {role: reference for role in self._crew.scorers})

    def _score(self, role: Role, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        self._crew.turns.begin(role)
        return self._crew.scorers[role].score(sequences)
