"""The main job as a newcomer runs it: what it leaves, and what running it again does."""

from collections.abc import Callable
from pathlib import Path

import pytest
import run_lab
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer


@pytest.fixture(scope="module")
def quickstart(trained: Callable[[Path], run_lab.Trained]) -> Path:
    """The output of the quickstart as it is shipped."""
    run = trained(run_lab.QUICKSTART)
    assert "reward" in run.text
    assert str(run.output / "model") in run.text
    return run.output


def test_engine_and_learner_hold_the_same_weights_at_every_step(quickstart: Path) -> None:
    assert max(row["rollout/logprob_gap_max"] for row in run_lab.curve(quickstart)) < 1e-4


def test_the_summary_says_what_happened(quickstart: Path) -> None:
    summary = run_lab.summary(quickstart)
    assert (summary["status"], summary["recipe"], summary["steps"]) == ("finished", "RL", 80)
    assert summary["checkpoint"]["path"] == "checkpoints/step-00000080"
    assert summary["model"] == "model"
    assert summary["metrics"]["best"]["reward/mean"] >= summary["metrics"]["last"]["reward/mean"]


def test_the_model_loads_with_transformers_and_is_the_last_checkpoints(quickstart: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(quickstart / "model")
    tokenizer = AutoTokenizer.from_pretrained(quickstart / "model")
    assert model.config.vocab_size >= len(tokenizer)
    trained = load_file(quickstart / "model" / "model.safetensors")
    committed = load_file(
        quickstart / "checkpoints" / "step-00000080" / "model" / "model.safetensors"
    )
    assert all(trained[name].equal(committed[name]) for name in trained)


def test_what_libraries_print_is_in_the_log(quickstart: Path) -> None:
    assert (quickstart / "logs" / "driver.log").stat().st_size > 0


def test_running_a_finished_run_again_says_so_and_changes_nothing(quickstart: Path) -> None:
    before = run_lab.model_bytes(quickstart)
    again = run_lab.run(quickstart)
    assert again.exit_code == 0
    assert "finished" in again.text
    assert run_lab.model_bytes(quickstart) == before


def test_another_spec_in_the_same_directory_is_refused_by_field(quickstart: Path) -> None:
    other = run_lab.run(quickstart, "rl.groupSize=4")
    assert other.exit_code == 2
    assert "training.rl.groupSize was 8 and is now 4" in other.text
    assert "Traceback" not in other.text


def test_a_larger_max_steps_continues(quickstart: Path) -> None:
    more = run_lab.run(quickstart, "maxSteps=82")
    assert more.exit_code == 0, more.text
    assert "resumes from step 80" in more.text
    assert [row["step"] for row in run_lab.read_rows(quickstart)] == list(range(1, 83))
