"""One run is ended in every way and started again each time; it ends as if nothing had happened.

Its lives follow one another in one directory. A run that nobody ended says what must come of it.
"""

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import run_lab
from run_lab import LONG, Running, Undisturbed


@dataclass(frozen=True)
class End:
    """A way to end a run."""

    exit_code: int
    act: Callable[[Running], None]
    after_steps: int | None
    """So many steps further on than the life before had come; None: while models load."""


@dataclass(frozen=True)
class Life:
    """One start of the run and how it ended."""

    finished: run_lab.Finished
    steps: int
    """Finished steps when it had ended."""
    checkpoint: int | None
    """Step of the newest checkpoint then; None: there is none."""
    summary: Mapping[str, Any]
    """Empty where it ended at once and wrote none."""
    survivors: list[str]
    """Processes of the run that were still there ten seconds later."""

    @property
    def resumed_from(self) -> int | None:
        """The step that it said it resumes from."""
        _, found, after = self.finished.text.partition("resumes from step ")
        return int(after.split()[0]) if found else None


def interrupt_until_it_ends(running: Running) -> None:
    while running.process.poll() is None:
        running.interrupt()
        time.sleep(0.2)


ENDS: Mapping[str, End] = {
    "killed before a checkpoint": End(-signal.SIGKILL, Running.kill, 1),
    "stopped while models load": End(20, lambda run: run.signal(signal.SIGTERM), None),
    "learner killed": End(10, lambda run: run.kill_worker("LearnerActor"), 3),
    "engine killed": End(10, lambda run: run.kill_worker("RolloutActor"), 1),
    "killed": End(-signal.SIGKILL, Running.kill, 2),
    "interrupted": End(20, Running.interrupt, 1),
    "interrupted twice": End(130, interrupt_until_it_ends, 1),
    "left alone": End(0, lambda run: None, 1),
}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ends") / "out"


@pytest.fixture(scope="module")
def lives(output: Path) -> dict[str, Life]:
    return {name: live(output, end) for name, end in ENDS.items()}


def live(output: Path, end: End) -> Life:
    """Starts the run anew and ends it."""
    steps_before = len(run_lab.read_rows(output))
    running = Running(output, *LONG)
    if end.after_steps is None:
        running.wait_for_text("loading the models")
    else:
        running.wait_for_step(steps_before + end.after_steps)
    processes = running.descendants()
    assert len(processes) > 3
    end.act(running)
    finished = running.end()
    committed = sorted(output.glob("checkpoints/step-*/manifest.json"))
    return Life(
        finished,
        steps=len(run_lab.read_rows(output)),
        checkpoint=int(committed[-1].parent.name.removeprefix("step-")) if committed else None,
        summary=run_lab.summary(output) if (output / "summary.json").exists() else {},
        survivors=run_lab.still_alive(processes),
    )


@pytest.mark.parametrize("name", ENDS)
def test_every_end_has_its_exit_code_and_leaves_no_process(
    lives: dict[str, Life], name: str
) -> None:
    life = lives[name]
    assert life.finished.exit_code == ENDS[name].exit_code, life.finished.text
    assert "Traceback" not in life.finished.text
    assert life.survivors == []


def test_a_run_that_was_ended_in_every_way_has_the_curve_and_model_of_one_that_was_not(
    lives: dict[str, Life], output: Path, undisturbed: Undisturbed
) -> None:
    assert lives["left alone"].steps == 40
    assert run_lab.curve(output) == run_lab.curve(undisturbed.output)
    assert run_lab.model_bytes(output) == run_lab.model_bytes(undisturbed.output)


def test_every_life_resumes_from_the_newest_checkpoint(lives: dict[str, Life]) -> None:
    for before, after in pairwise(lives.values()):
        assert after.resumed_from == before.checkpoint
    assert lives["killed before a checkpoint"].checkpoint is None


def test_a_stop_while_models_load_commits_step_0(lives: dict[str, Life]) -> None:
    assert lives["stopped while models load"].checkpoint == 0
    assert lives["stopped while models load"].summary["checkpoint"]["step"] == 0


@pytest.mark.parametrize(
    ("name", "worker"), [("learner killed", "policy rank 0"), ("engine killed", "rollout engine 0")]
)
def test_a_killed_worker_is_named_and_no_more_than_is_known_of_the_cause(
    lives: dict[str, Life], name: str, worker: str
) -> None:
    life = lives[name]
    assert f"{worker} is lost: " in life.finished.text
    assert "memory" not in life.finished.text
    assert life.summary["checkpoint"]["step"] == life.checkpoint
    assert life.checkpoint is not None
    assert life.checkpoint >= 2


def test_an_interrupt_commits_the_last_finished_step(lives: dict[str, Life], output: Path) -> None:
    life = lives["interrupted"]
    assert "stopped" in life.finished.text
    assert life.summary["checkpoint"]["step"] == life.checkpoint == life.steps
    assert life.summary["status"] == "stopped"


def test_other_settings_in_the_same_directory_are_refused(
    lives: dict[str, Life], output: Path
) -> None:
    other = run_lab.run(output, *LONG, "rl.groupSize=5", "maxSteps=50")
    assert other.exit_code == 2
    assert "training.rl.groupSize" in other.text


def test_a_stop_in_a_long_update_leaves_it_and_commits_the_step_before(tmp_path: Path) -> None:
    """One optimizer step of 8,192 micro-batches, which lasts longer than the grace period."""
    overrides = ("rl.rolloutBatchSize=512", "learner.microBatchSize=1", "checkpoint.everySteps=0")
    grace = "lifecycle.gracePeriodSeconds=10"
    running = Running(tmp_path / "out", *overrides, grace)
    running.wait_for_text("loading the models")
    other = run_lab.run(tmp_path / "out", *overrides, grace)
    assert other.exit_code == 2, "the directory of a living run is refused"
    assert "Traceback" not in other.text
    running.wait_for_text("step 1/80 training")
    time.sleep(2)
    running.interrupt()
    asked = time.monotonic()
    stopped = running.end()
    assert stopped.exit_code == 20, stopped.text
    assert time.monotonic() - asked < 30
    assert run_lab.summary(tmp_path / "out")["checkpoint"]["step"] == 0
    assert run_lab.read_rows(tmp_path / "out") == []
