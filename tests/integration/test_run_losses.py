"""A worker that is killed ends the run with its name, and no more than is known of the cause."""

from pathlib import Path

import pytest
import run_lab


@pytest.mark.parametrize(
    ("actor", "worker"), [("LearnerActor", "policy rank 0"), ("RolloutActor", "rollout engine 0")]
)
def test_a_killed_worker_is_named(tmp_path: Path, actor: str, worker: str) -> None:
    running = run_lab.Running(tmp_path / "out", *run_lab.SMALL, "maxSteps=4000")
    running.wait_for_step(3)  # a checkpoint of step 2 is there
    children = running.descendants()
    (victim,) = [child for child in children if f"ray::{actor}" in " ".join(child.cmdline())]
    victim.kill()
    ended = running.end()
    assert ended.exit_code == 10, ended.text
    assert f"{worker} is lost: " in ended.text
    assert "memory" not in ended.text
    assert "Traceback" not in ended.text
    assert run_lab.still_alive(children) == []
    assert run_lab.summary(tmp_path / "out")["checkpoint"]["step"] >= 2
