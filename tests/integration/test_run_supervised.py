"""Recipes that learn from given data: what a run leaves, and that it resumes bit for bit."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import run_lab
from transformers import AutoModelForCausalLM, AutoTokenizer

SFT = run_lab.EXAMPLES / "sft.yaml"
DPO = run_lab.EXAMPLES / "dpo.yaml"

Train = Callable[[Path], run_lab.Trained]


def test_the_summary_and_the_plot_tell_of_the_recipe(trained: Train) -> None:
    run = trained(SFT)
    summary = run_lab.summary(run.output)
    assert (summary["status"], summary["recipe"], summary["steps"]) == ("finished", "SFT", 60)
    assert "loss " in run.text
    assert "reward" not in run.text


def test_a_model_after_sft_answers(trained: Train) -> None:
    directory = trained(SFT).output / "model"
    model: Any = AutoModelForCausalLM.from_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    prompt = tokenizer("ab7>", return_tensors="pt", add_special_tokens=False)
    answer = model.generate(**prompt, max_new_tokens=2, do_sample=False)[0]
    assert tokenizer.decode(answer, skip_special_tokens=True) == "ab7>7"


def test_a_killed_run_of_sft_resumes_bit_for_bit(trained: Train, tmp_path: Path) -> None:
    output = tmp_path / "out"
    running = run_lab.Running(output, manifest=SFT)
    running.wait_for_step(35)
    running.kill()
    running.end()
    resumed = run_lab.run(output, manifest=SFT)
    assert resumed.exit_code == 0, resumed.text
    assert "resumes from step 30" in resumed.text
    assert run_lab.curve(output) == run_lab.curve(trained(SFT).output)
    assert run_lab.model_bytes(output) == run_lab.model_bytes(trained(SFT).output)


def test_dpo_begins_where_policy_and_reference_are_one(trained: Train) -> None:
    first = run_lab.curve(trained(DPO).output)[0]
    assert first["dpo/loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert first["dpo/margin"] == pytest.approx(0.0, abs=1e-6)
