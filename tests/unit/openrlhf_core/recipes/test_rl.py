"""The RL loop on fakes: order of work, what a step hands on, when it stops."""

import json
from dataclasses import replace
from pathlib import Path

import fakes
import pytest

from openrlhf_core.recipes.rl.guard import ScoreGuard
from openrlhf_core.recipes.rl.step import train_step
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError, StopRequested


def read_rows(output: Path) -> list[dict[str, float]]:
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["metrics"] for line in lines]


def test_a_step_works_in_the_order_of_the_hybrid_engine(stage) -> None:
    stage.workers.turns.begin("Policy")
    stage.diary.clear()
    stage.train(1)
    assert stage.diary == [
        "learner sleeps",
        "engine wakes",
        "engine generates",
        "engine sleeps",
        "learner wakes",
        "learner updates",
        "engine wakes",
        "learner sends weight=1",
        "engine receives version 1",
    ]


def test_every_step_moves_step_position_and_version(stage) -> None:
    stage.train()
    state = stage.journal.state
    assert (state.step, state.data_cursor, state.policy_version) == (3, 6, 3)
    assert stage.engine.version == 3


def test_rows_hold_what_people_watch(stage, tmp_path: Path) -> None:
    stage.train()
    rows = read_rows(tmp_path)
    assert len(rows) == 3
    for row in rows:
        assert row["rollout/num_tokens"] == 8
        assert row["response/truncated_ratio"] == 1.0
        assert {"reward/mean", "time/rollout", "time/train", "policy/loss"} <= row.keys()
    assert [row["data/epoch"] for row in rows] == [0.5, 1.0, 1.5]


def test_a_repeated_run_asks_for_the_same_completions(stage, make_stage, tmp_path: Path) -> None:
    stage.train()
    again = make_stage(tmp_path / "again")
    again.train()
    seeds = [request.seed for request in stage.engine.requests]
    assert seeds == [request.seed for request in again.engine.requests]
    assert len(set(seeds)) == len(seeds) == 12


def test_one_update_a_rollout_needs_no_forward_pass_before(stage) -> None:
    stage.train(1)
    assert "learner reads log-probs" not in stage.diary
    assert all(
        sample.old_logprobs is None
        for batch in stage.learner.updates
        for micro_batch in batch.micro_batches
        for sample in micro_batch
    )


def test_two_updates_a_rollout_learn_against_the_log_probs_before_both(stage) -> None:
    two = stage.with_settings(train_batch_size=2)
    two.train(1)
    assert stage.diary.count("learner reads log-probs") == 1
    assert stage.diary.count("learner updates") == 2


def test_a_failed_reward_call_masks_its_samples(stage, tmp_path: Path) -> None:
    stage.rewards.fails = lambda rollout: rollout.group_id == 0
    stage.train(1)
    assert read_rows(tmp_path)[0]["reward/failed_ratio"] == 0.5
    trained = [s for mb in stage.learner.updates[0].micro_batches for s in mb]
    assert len(trained) == 2
    assert {int(sample.token_ids[0]) for sample in trained} == {1}


def test_a_step_without_any_score_learns_nothing_and_three_end_the_run(stage) -> None:
    stage.rewards.fails = lambda rollout: True
    with pytest.raises(ConfigurationError, match="a fake failure"):
        stage.train()
    assert stage.learner.updates == []
    assert stage.journal.state.step == 2


def test_stale_engine_weights_end_the_run_before_the_step_counts(stage) -> None:
    stage.learner.gap = 0.4
    with pytest.raises(RetryableError, match="logprob_gap"):
        stage.train()
    assert stage.journal.state.step == 0


def test_sampling_that_changes_log_probs_is_not_held_to_the_gap(stage) -> None:
    stage.learner.gap = 0.4
    free = stage.with_settings(gap_dtype=None)
    free.train()
    assert free.journal.state.step == 3


def test_a_stop_is_seen_before_the_next_step(stage) -> None:
    stage.train(1)
    stage.stop.request("test")
    with pytest.raises(StopRequested):
        stage.train()
    assert stage.journal.state.step == 1
    assert stage.journal.can_commit


def test_kl_in_the_loss_reaches_the_samples_and_in_the_reward_does_not(stage) -> None:
    class FakeReference:
        def score(self, sequences):
            return [fakes.fake_logprobs(ids) for ids in sequences]

    for placement, in_samples in (("Loss", True), ("Reward", False)):
        rl = stage.settings.rl
        kl = replace(rl.kl, coefficient=0.1, placement=placement)
        settings = replace(stage.settings, rl=replace(rl, kl=kl))
        workers = replace(stage.workers, reference=FakeReference())
        train_step(settings, workers, stage.journal, ScoreGuard())
        samples = [s for mb in stage.learner.updates[-1].micro_batches for s in mb]
        assert all((s.ref_logprobs is not None) == in_samples for s in samples)
