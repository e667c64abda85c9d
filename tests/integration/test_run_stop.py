"""Stopping: a checkpoint is committed, the exit code says so, nothing is left behind."""

import signal
import time
from pathlib import Path

import run_lab

SETTINGS = (*run_lab.SMALL, "maxSteps=4000", "checkpoint.everySteps=0")


def test_an_interrupt_commits_the_last_finished_step_and_exits_20(tmp_path: Path) -> None:
    running = run_lab.Running(tmp_path / "out", *SETTINGS)
    running.wait_for_step(3)
    children = running.descendants()
    other = run_lab.run(tmp_path / "out", *SETTINGS)
    assert other.exit_code == 2, "the directory of a living run is refused"
    assert "Traceback" not in other.text
    running.interrupt()
    stopped = running.end()
    assert stopped.exit_code == 20, stopped.text
    assert "stopped" in stopped.text
    assert run_lab.still_alive(children) == []
    steps = len(run_lab.read_rows(tmp_path / "out"))
    committed = run_lab.summary(tmp_path / "out")["checkpoint"]
    assert committed["step"] == steps >= 3
    assert (tmp_path / "out" / committed["path"] / "manifest.json").exists()


def test_a_stop_while_models_load_commits_step_0(tmp_path: Path) -> None:
    running = run_lab.Running(tmp_path / "out", *SETTINGS)
    running.wait_for_text("loading the models")
    running.signal(signal.SIGTERM)
    stopped = running.end()
    assert stopped.exit_code == 20, stopped.text
    assert run_lab.summary(tmp_path / "out")["checkpoint"]["step"] == 0
    resumed = run_lab.run(tmp_path / "out", *SETTINGS[:-2], "maxSteps=4001", "rl.groupSize=5")
    assert resumed.exit_code == 2
    assert "training.rl.groupSize" in resumed.text


def test_a_stop_in_a_long_update_leaves_it_and_commits_the_step_before(tmp_path: Path) -> None:
    """One optimizer step of 8,192 micro-batches, which lasts longer than the grace period."""
    overrides = ("rl.rolloutBatchSize=512", "learner.microBatchSize=1", "checkpoint.everySteps=0")
    grace = "lifecycle.gracePeriodSeconds=10"
    running = run_lab.Running(tmp_path / "out", *overrides, grace)
    running.wait_for_text("step 1/80 training")
    time.sleep(2)
    running.interrupt()
    asked = time.monotonic()
    stopped = running.end()
    assert stopped.exit_code == 20, stopped.text
    assert time.monotonic() - asked < 30
    assert run_lab.summary(tmp_path / "out")["checkpoint"]["step"] == 0
    assert run_lab.read_rows(tmp_path / "out") == []


def test_a_second_interrupt_ends_at_once_with_130(tmp_path: Path) -> None:
    running = run_lab.Running(tmp_path / "out", *SETTINGS)
    running.wait_for_step(1)
    children = running.descendants()
    while running.process.poll() is None:
        running.interrupt()
        time.sleep(0.2)
    assert running.end().exit_code == 130
    assert run_lab.still_alive(children) == []
