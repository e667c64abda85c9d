"""Claiming an output directory: living, dead, finished, foreign and other runs."""

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from openrlhf_core.output import OutputDirectory, hold_output
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError, RunError
from openrlhf_core.spec.kinds.training import TrainingSpec

FORK = multiprocessing.get_context("fork")


def make_training(**changes: Any) -> TrainingSpec:
    spec = {
        "recipe": "RL",
        "model": {"policy": {"source": "builtin://tiny"}},
        "reward": {"functions": [{"source": "builtin://digits"}]},
        "data": {"train": [{"source": "builtin://digits"}]},
        "rl": {"algorithm": "GRPO"},
        "maxSteps": 80,
    }
    return TrainingSpec.model_validate(spec | changes, strict=False)


def run_once(output: Path, steps: int = 3, **changes: Any) -> None:
    """A run that finishes `steps` steps and is killed: its row and record stay."""
    claim = hold_output(output, make_training(**changes))
    (output / "metrics.jsonl").write_text('{"step": 1}\n' * steps)
    claim.release()


def finish_once(output: Path) -> None:
    run_once(output)
    claim = hold_output(output, make_training())
    claim.finish(80)
    claim.release()


def claim(output: Path, **changes: Any) -> OutputDirectory:
    claimed = hold_output(output, make_training(**changes))
    claimed.release()
    return claimed


def test_a_directory_that_is_not_there_is_made(tmp_path: Path) -> None:
    assert claim(tmp_path / "a" / "b").status == "new"
    assert (tmp_path / "a" / "b" / "run.json").is_file()


def test_an_unfinished_run_of_the_same_spec_resumes_under_its_id(tmp_path: Path) -> None:
    run_id = claim(tmp_path).run_id
    run_once(tmp_path)
    first, second = claim(tmp_path), claim(tmp_path)
    assert first.status == second.status == "resume"
    assert first.run_id == second.run_id != run_id


def test_a_resumed_run_knows_when_it_began(tmp_path: Path) -> None:
    run_once(tmp_path)
    first, second = claim(tmp_path), claim(tmp_path, maxSteps=100)
    assert first.began == second.began
    assert first.began.utcoffset() is not None


def test_a_finished_run_says_so(tmp_path: Path) -> None:
    finish_once(tmp_path)
    found = claim(tmp_path, logging={"tensorboard": True})
    assert (found.status, found.finished_step) == ("finished", 80)


def test_more_steps_continue_a_finished_run(tmp_path: Path) -> None:
    finish_once(tmp_path)
    assert claim(tmp_path, maxSteps=100).status == "resume"
    assert claim(tmp_path, maxSteps=100).status == "resume"
    with pytest.raises(ConfigurationError, match="maxSteps was 100 and is now 80"):
        claim(tmp_path)


def test_a_run_that_goes_on_has_no_summary_yet(tmp_path: Path) -> None:
    finish_once(tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    claim(tmp_path)
    assert (tmp_path / "summary.json").exists()
    claim(tmp_path, maxSteps=100)
    assert not (tmp_path / "summary.json").exists()


def test_another_spec_is_refused_with_every_field(tmp_path: Path) -> None:
    run_once(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        claim(tmp_path, seed=1, optimizer={"learningRate": 1e-3})
    assert "training.optimizer.learningRate was 1e-06 and is now 0.001" in str(caught.value)
    assert "training.seed was 42 and is now 1" in str(caught.value)
    assert claim(tmp_path).status == "resume"


def test_a_mended_spec_begins_anew_where_no_step_was_finished(tmp_path: Path) -> None:
    claim(tmp_path, model={"policy": {"source": "builtin://tyni"}})
    assert claim(tmp_path).status == "new"


def test_resume_never_refuses_a_run_but_not_an_empty_record(tmp_path: Path) -> None:
    never: dict[str, Any] = {"checkpoint": {"resume": "Never"}}
    assert claim(tmp_path, **never).status == "new"
    run_once(tmp_path, **never)
    with pytest.raises(ConfigurationError, match=r"training\.checkpoint\.resume is Never"):
        claim(tmp_path, **never)


def test_resume_never_lets_a_retry_of_the_same_job_go_on(tmp_path: Path) -> None:
    training = make_training(checkpoint={"resume": "Never"})
    hold_output(tmp_path, training, attempt=1, job_uid="a")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    assert hold_output(tmp_path, training, attempt=2, job_uid="a").status == "resume"
    with pytest.raises(ConfigurationError, match="resume is Never"):
        hold_output(tmp_path, training, attempt=1, job_uid="b")


def test_the_directory_of_a_living_run_is_refused(tmp_path: Path) -> None:
    living = hold_output(tmp_path, make_training())
    with pytest.raises(ConfigurationError, match=f"another run .*process {os.getpid()}"):
        hold_output(tmp_path, make_training())
    living.release()
    assert claim(tmp_path).status == "new"


def hold(output: Path, connection: Connection) -> None:
    hold_output(output, make_training())
    connection.send("claimed")
    signal.pause()


def test_the_directory_of_a_killed_run_is_free_at_once(tmp_path: Path) -> None:
    ours, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=hold, args=(tmp_path, theirs))
    child.start()
    assert ours.recv() == "claimed"
    with pytest.raises(ConfigurationError, match=f"process {child.pid}"):
        claim(tmp_path)
    child.kill()
    child.join()
    assert claim(tmp_path).status == "new"


def test_the_lock_does_not_pass_to_programs_that_the_run_starts(tmp_path: Path) -> None:
    living = hold_output(tmp_path, make_training())
    with subprocess.Popen(
        ["sh", "-c", "echo started; exec sleep 60"], stdout=subprocess.PIPE, close_fds=False
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == b"started\n"
        living.release()
        assert claim(tmp_path).status == "new"
        child.kill()


def wait_for_a_signal(connection: Connection) -> None:
    connection.send("started")
    signal.pause()


def test_the_lock_does_not_pass_to_forked_children(tmp_path: Path) -> None:
    living = hold_output(tmp_path, make_training())
    ours, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=wait_for_a_signal, args=(theirs,))
    child.start()
    assert ours.recv() == "started"
    with pytest.raises(ConfigurationError, match="another run"):
        claim(tmp_path)
    living.release()
    assert claim(tmp_path).status == "new"
    child.kill()
    child.join()


def test_the_higher_attempt_takes_the_directory_and_the_older_one_stops(tmp_path: Path) -> None:
    older = hold_output(tmp_path, make_training(), attempt=1, job_uid="a")
    older.still_ours()
    newer = hold_output(tmp_path, make_training(), attempt=2, job_uid="a")
    newer.still_ours()
    with pytest.raises(RetryableError, match=r"attempt 2 \(process .* has taken .* attempt 1"):
        older.still_ours()
    with pytest.raises(RetryableError):
        older.finish(80)


def test_an_older_attempt_that_comes_late_is_turned_away(tmp_path: Path) -> None:
    newer = hold_output(tmp_path, make_training(), attempt=3, job_uid="a")
    newer.release()
    with pytest.raises(RetryableError, match="attempt 3"):
        hold_output(tmp_path, make_training(), attempt=2, job_uid="a")
    newer.still_ours()


def test_the_same_attempt_started_twice_leaves_one_writer(tmp_path: Path) -> None:
    first = hold_output(tmp_path, make_training(), attempt=1, job_uid="a")
    second = hold_output(tmp_path, make_training(), attempt=1, job_uid="a")
    second.still_ours()
    with pytest.raises(RetryableError):
        first.still_ours()


def test_another_job_may_continue_the_directory_with_its_first_attempt(tmp_path: Path) -> None:
    hold_output(tmp_path, make_training(), attempt=4, job_uid="a")
    hold_output(tmp_path, make_training(), attempt=1, job_uid="b").still_ours()


def test_a_lease_that_vanished_is_not_ours(tmp_path: Path) -> None:
    claimed = hold_output(tmp_path, make_training(), attempt=1, job_uid="a")
    (tmp_path / "attempt.json").unlink()
    with pytest.raises(RetryableError, match="somebody"):
        claimed.still_ours()


def file_at(path: Path) -> Path:
    path.write_text("")
    return path


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_an_output_path_that_is_a_file_is_refused(tmp_path: Path, below: str) -> None:
    file = file_at(tmp_path / "notes.txt")
    with pytest.raises(ConfigurationError, match=r"notes\.txt is a file"):
        claim(file / below if below else file)


@pytest.mark.parametrize("name", ["metrics.jsonl", "model", "checkpoints", "summary.json"])
def test_foreign_files_are_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ConfigurationError, match=rf"holds {name} but no run\.json"):
        claim(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".lock", name])


def test_files_that_we_would_not_touch_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "logs").mkdir()
    assert claim(tmp_path).status == "new"


@pytest.mark.parametrize("content", ["", "{", '{"format": 2}', "[]", "\x00"])
def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"run\.json: is not the record of a run"):
        claim(tmp_path)


def in_another_user(action: Callable[[], object], connection: Connection) -> None:
    os.setuid(65534)
    try:
        action()
    except RunError as error:
        connection.send((error.exit_code, str(error)))
    else:
        connection.send((0, "no error"))


def as_nobody(action: Callable[[], object]) -> tuple[int, str]:
    """Exit code and message of `action` in a process that may not write here."""
    ours, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=in_another_user, args=(action, theirs))
    child.start()
    answer: tuple[int, str] = ours.recv()
    child.join()
    return answer


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without rights")
@pytest.mark.parametrize("name", ["", "deeper"])
def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        path.chmod(0o755)
    exit_code, message = as_nobody(lambda: hold_output(tmp_path / name, make_training()))
    assert exit_code == 2
    assert "cannot be written (Permission denied)" in message
