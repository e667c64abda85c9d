"""The supervised loop on fakes: what a step learns from, what it hands on, what it records."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openrlhf_core.algorithms.aggregate import LossAggregation
from openrlhf_core.data.balance import BatchLimits
from openrlhf_core.data.sample_stream import SampleDataset, SampleStream
from openrlhf_core.objectives.sft import SFTSample
from openrlhf_core.recipes.supervised.step import StepSettings, SupervisedWorkers, train_step
from openrlhf_core.spec.exit_codes import WorkAbandoned

SETTINGS = StepSettings(
    total_steps=3,
    seed=1,
    train_batch_size=4,
    num_data_shards=1,
    limits=BatchLimits(micro_batch_size=2),
    aggregation=LossAggregation(),
)


def make_samples(count: int, is_trained: bool = True) -> list[SFTSample]:
    return [
        SFTSample(np.array([number, 1, 2], np.int32), np.array([False, is_trained, is_trained]))
        for number in range(count)
    ]


@pytest.fixture
def workers(stage) -> SupervisedWorkers[SFTSample, SFTSample]:
    stream = SampleStream([SampleDataset("default", 1.0, make_samples(10), "x")], seed=1)
    return SupervisedWorkers(stream, list, stage.workers.policy, stage.workers.turns)


def numbers_learned(stage) -> list[int]:
    return [
        int(s.token_ids[0]) for b in stage.learner.updates for mb in b.micro_batches for s in mb
    ]


def test_a_step_is_one_optimizer_step_on_the_next_batch(stage, workers) -> None:
    state = train_step(SETTINGS, workers, stage.journal)
    assert (state.step, state.data_cursor, state.policy_version) == (1, 4, 1)
    assert stage.diary.count("learner updates") == 1
    expected = [int(sample.token_ids[0]) for sample in workers.stream.batch(0, 4)]
    assert sorted(numbers_learned(stage)) == sorted(expected)


def test_weights_of_the_loss_add_up_to_one(stage, workers) -> None:
    train_step(SETTINGS, workers, stage.journal)
    samples = [s for b in stage.learner.updates for mb in b.micro_batches for s in mb]
    assert sum(sample.loss_weights.sum() for sample in samples) == pytest.approx(1.0)


def test_a_row_has_loss_and_speed(stage, workers, tmp_path: Path) -> None:
    train_step(SETTINGS, workers, stage.journal)
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    metrics = json.loads(line)["metrics"]
    assert metrics["policy/loss"] == 1.0
    assert (metrics["data/num_samples"], metrics["data/num_tokens"]) == (4, 12)
    assert metrics["data/epoch"] == pytest.approx(0.4)
    assert "reward/mean" not in metrics


def test_a_frozen_model_scores_the_samples_first(stage, workers) -> None:
    def score(samples):
        stage.diary.append("scores")
        return [replace(sample, token_ids=sample.token_ids + 100) for sample in samples]

    train_step(SETTINGS, replace(workers, to_samples=score), stage.journal)
    assert stage.diary.index("scores") < stage.diary.index("learner updates")
    assert min(numbers_learned(stage)) >= 100


def test_a_batch_without_a_target_changes_no_weight(stage, workers) -> None:
    nothing = SampleStream([SampleDataset("default", 1.0, make_samples(4, False), "x")], seed=1)
    train_step(SETTINGS, replace(workers, stream=nothing), stage.journal)
    assert stage.learner.updates == []
    assert stage.journal.state.step == 1


def test_an_abandoned_step_leaves_the_one_before_to_be_committed(stage, workers) -> None:
    train_step(SETTINGS, workers, stage.journal)
    stage.learner.is_abandoned = True
    with pytest.raises(WorkAbandoned):
        train_step(SETTINGS, workers, stage.journal)
    assert stage.journal.can_commit
    assert stage.journal.commit().step == 1
