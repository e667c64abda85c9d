"""The driver is killed after every single step of a run, each time in a fresh directory."""

from pathlib import Path

import pytest
import run_lab

pytestmark = pytest.mark.soak

SETTINGS = (*run_lab.SMALL, "maxSteps=8")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("uninterrupted") / "out"
    finished = run_lab.run(output, *SETTINGS)
    assert finished.exit_code == 0, finished.text
    return output


def test_one_seed_gives_one_curve_and_one_model(uninterrupted: Path, tmp_path: Path) -> None:
    """A second run with the same seed has the same metrics and the same weights, bit for bit."""
    again = tmp_path / "out"
    assert run_lab.run(again, *SETTINGS).exit_code == 0
    assert run_lab.curve(again) == run_lab.curve(uninterrupted)
    assert run_lab.model_bytes(again) == run_lab.model_bytes(uninterrupted)


@pytest.mark.parametrize("step", range(1, 8))
def test_a_killed_run_resumes_bit_for_bit(uninterrupted: Path, tmp_path: Path, step: int) -> None:
    """A run that is killed after this step and started again equals one that was not killed."""
    output = tmp_path / "out"
    running = run_lab.Running(output, *SETTINGS)
    running.wait_for_step(step)
    children = running.descendants()
    assert len(children) > 3
    running.kill()
    running.end()
    resumed = run_lab.run(output, *SETTINGS)
    assert resumed.exit_code == 0, resumed.text
    # The row of step 2 is written before the first checkpoint, of step 2, commits.
    if step != 2:
        assert ("resumes from step" in resumed.text) == (step > 2)
    assert run_lab.still_alive(children) == []
    assert run_lab.curve(output) == run_lab.curve(uninterrupted)
    assert run_lab.model_bytes(output) == run_lab.model_bytes(uninterrupted)
