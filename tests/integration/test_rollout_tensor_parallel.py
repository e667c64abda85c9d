"""An engine over two workers: the same promises, with each worker a member of the group."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LAB = Path(__file__).with_name("rollout_lab.py")


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> dict:
    workdir = tmp_path_factory.mktemp("tensor_parallel")
    command = [sys.executable, str(LAB), "tensor_parallel", str(workdir)]
    subprocess.run(command, check=True, timeout=300)
    return json.loads((workdir / "results.json").read_text())


def test_two_workers_agree_with_transformers(measured) -> None:
    assert measured["gaps"][0] < 1e-4


def test_two_workers_agree_with_the_learner_after_a_sync(measured) -> None:
    assert measured["gaps"][1] < 1e-4
    assert measured["versions"] == [1]


def test_a_learner_that_left_is_a_retryable_error_that_names_the_bucket(measured) -> None:
    assert measured["lost"].startswith("RetryableError: weight sync: ")
    assert "bucket 1 of" in measured["lost"]
