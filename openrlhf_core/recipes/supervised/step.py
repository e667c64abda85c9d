"""Learning from given data: one step is one optimizer step.

SFT, reward models, preference learning, KTO, process rewards and distillation differ in their
samples, their objective and the frozen model that scores the samples first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from openrlhf_core.algorithms.aggregate import LossAggregation
from openrlhf_core.data.balance import BatchLimits, plan_updates
from openrlhf_core.data.sample_stream import SampleStream
from openrlhf_core.objectives.metrics import merge_updates
from openrlhf_core.objectives.objective import S
from openrlhf_core.orchestration.learners import LearnerGroup
from openrlhf_core.orchestration.turns import Turns
from openrlhf_core.recipes.run.journal import Journal, Row, TrainingState

R = TypeVar("R")


@dataclass(frozen=True)
class StepSettings:
    """The numbers that a step needs."""

    total_steps: int
    seed: int
    train_batch_size: int
    """Samples of an optimizer step, over all ranks."""
    num_data_shards: int
    """Parts that an optimizer step is split into: ranks with different samples."""
    limits: BatchLimits
    aggregation: LossAggregation


@dataclass(frozen=True)
class SupervisedWorkers(Generic[R, S]):
    """Who does the work of a step."""

    stream: SampleStream[R]
    """Rows of the training data, tokenised."""
    to_samples: Callable[[Sequence[R]], Sequence[S]]
    """Makes the objective's samples of rows; adds what a frozen model says of them, if any."""
    policy: LearnerGroup
    turns: Turns


def train_step(
    settings: StepSettings, workers: SupervisedWorkers[R, S], journal: Journal
) -> TrainingState:
    """Does one step: a batch, its scores, one optimizer step."""
    row, state = journal.begin(), journal.state
    rows = workers.stream.batch(state.data_cursor, settings.train_batch_size)
    with journal.phase(row, "logprob"):
        samples = workers.to_samples(rows)
    with journal.phase(row, "train"), journal.weights_change():
        row.metrics |= learn(settings, workers, samples, row.step)
    next_state = TrainingState(row.step, state.data_cursor + len(rows), state.policy_version + 1)
    add_speed(row, samples, next_state.data_cursor / workers.stream.epoch_size)
    return journal.finish(row, next_state)


def learn(
    settings: StepSettings, workers: SupervisedWorkers[R, S], samples: Sequence[S], step: int
) -> dict[str, float]:
    """Does the optimizer step and returns its metrics; none where no sample has a target."""
    workers.turns.begin("Policy")
    updates = plan_updates(
        samples,
        train_batch_size=settings.train_batch_size,
        num_ranks=settings.num_data_shards,
        epochs=1,
        key=(settings.seed, step),
        limits=settings.limits,
        aggregation=settings.aggregation,
    )
    return merge_updates([workers.policy.update(batches, may_abandon=True) for batches in updates])


def add_speed(row: Row, samples: Sequence[S], epochs: float) -> None:
    """Adds what the step's own numbers say about speed and data."""
    num_tokens = float(sum(sum(sample.row_lengths) for sample in samples))
    row.metrics["data/num_samples"] = float(len(samples))
    row.metrics["data/num_tokens"] = num_tokens
    row.metrics["data/tokens_per_second"] = num_tokens / max(row.metrics["time/train"], 1e-9)
    row.metrics["data/epoch"] = epochs
