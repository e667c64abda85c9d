"""Recipes that learn from given data, as a person runs them: they learn, and resume bit for bit."""

import math
from pathlib import Path
from typing import Any

import pytest
import run_lab
from transformers import AutoModelForCausalLM, AutoTokenizer

SFT = run_lab.QUICKSTART.parent / "sft.yaml"
DPO = run_lab.QUICKSTART.parent / "dpo.yaml"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of the example as it is shipped."""
    output = tmp_path_factory.mktemp("sft") / "out"
    finished = run_lab.run(output, manifest=SFT)
    assert finished.exit_code == 0, finished.text
    assert "loss" in finished.text
    return output


def test_the_loss_falls_from_above_4_to_below_a_tenth(trained: Path) -> None:
    losses = [row["sft/loss"] for row in run_lab.curve(trained)]
    assert len(losses) == 60
    assert losses[0] > 4
    assert losses[-1] < 0.1


def test_the_summary_tells_of_the_recipe(trained: Path) -> None:
    summary = run_lab.summary(trained)
    assert (summary["status"], summary["recipe"], summary["steps"]) == ("finished", "SFT", 60)


def test_the_trained_model_answers(trained: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(trained / "model")
    tokenizer = AutoTokenizer.from_pretrained(trained / "model")
    prompt = tokenizer("ab7>", return_tensors="pt", add_special_tokens=False)
    answer = model.generate(**prompt, max_new_tokens=2, do_sample=False)[0, len("ab7>") :]
    assert tokenizer.decode(answer, skip_special_tokens=True) == "7"


def test_a_killed_run_resumes_bit_for_bit(trained: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    running = run_lab.Running(output, manifest=SFT)
    running.wait_for_step(35)
    running.kill()
    resumed = run_lab.run(output, manifest=SFT)
    assert resumed.exit_code == 0, resumed.text
    assert "resumes from step 30" in resumed.text
    assert run_lab.curve(output) == run_lab.curve(trained)
    assert run_lab.model_bytes(output) == run_lab.model_bytes(trained)


def test_dpo_learns_which_response_is_preferred(tmp_path: Path) -> None:
    output = tmp_path / "out"
    finished = run_lab.run(output, manifest=DPO)
    assert finished.exit_code == 0, finished.text
    curve = run_lab.curve(output)
    assert curve[0]["dpo/loss"] == pytest.approx(math.log(2), abs=1e-6)  # policy is reference
    assert sum(row["dpo/accuracy"] for row in curve[-10:]) / 10 > 0.95
    assert curve[-1]["dpo/margin"] > 0.5
