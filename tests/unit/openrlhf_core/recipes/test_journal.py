"""Rows, checkpoints and what a stop may commit."""

from pathlib import Path

import pytest

from openrlhf_core.spec.exit_codes import RetryableError, WorkAbandoned


def test_checkpoints_are_committed_at_their_steps_with_the_learners_files(
    make_stage, tmp_path: Path
) -> None:
    stage = make_stage(tmp_path, every_steps=2)
    stage.train()
    newest = stage.store.newest()
    assert newest.step == 2
    assert (newest.state.data_cursor, newest.state.policy_version) == (4, 2)
    assert (newest.directory / "roles" / "policy" / "weight.json").read_text() == "2.0"


def test_a_step_is_committed_once(stage) -> None:
    stage.train(1)
    first = stage.journal.commit()
    assert stage.journal.commit() is first
    assert stage.diary.count("learner saves") == 1


def test_half_an_update_may_not_be_committed(stage) -> None:
    def lost(batch, *, may_abandon):
        raise RetryableError("policy rank 0 is lost")

    stage.learner.update = lost
    with pytest.raises(RetryableError):
        stage.train()
    assert not stage.journal.can_commit


def test_an_abandoned_update_leaves_the_step_before_to_be_committed(stage) -> None:
    stage.train(1)
    stage.learner.is_abandoned = True
    with pytest.raises(WorkAbandoned):
        stage.train()
    assert stage.journal.can_commit
    assert stage.journal.commit().step == 1


def test_later_updates_of_a_step_are_not_abandoned(stage) -> None:
    two = stage.with_settings(train_batch_size=2)
    update = stage.learner.update

    def asked_too_late(batch, *, may_abandon):
        metrics = update(batch, may_abandon=may_abandon)
        stage.learner.is_abandoned = True
        return metrics

    stage.learner.update = asked_too_late
    two.train(1)
    assert stage.diary.count("learner updates") == 2
    assert two.journal.state.step == 1


def test_weights_are_not_trusted_before_the_learner_has_loaded(make_stage, tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    row = stage.journal.begin()
    with stage.journal.phase(row, "train"), stage.journal.weights_change():
        pass
    assert not stage.journal.can_commit
    stage.journal.trust_weights()
    assert stage.journal.can_commit


def test_a_save_that_fails_leaves_no_staged_directory(make_stage, tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    stage.train(1)
    (tmp_path / "checkpoints").mkdir()
    stage.learner.save = None
    with pytest.raises(TypeError):
        stage.journal.commit()
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_the_time_of_a_commit_is_in_the_next_row(make_stage, tmp_path: Path) -> None:
    stage = make_stage(tmp_path, every_steps=1)
    stage.train()
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert ["time/checkpoint" in row for row in rows] == [False, True, True]
