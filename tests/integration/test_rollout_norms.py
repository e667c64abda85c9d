"""vLLM's compiled norms on CPU: the same values, and vLLM's own formula where they do not fit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LAB = Path(__file__).with_name("norm_lab.py")


@pytest.fixture(scope="module")
def measured() -> dict:
    command = [sys.executable, "-W", "ignore", str(LAB)]
    ended = subprocess.run(command, check=True, timeout=240, stdout=subprocess.PIPE)
    return json.loads(ended.stdout.splitlines()[-1])


def test_compiled_norms_give_the_values_of_the_formula(measured) -> None:
    for name, gap in measured["gaps"].items():
        assert gap < 2e-6, name


def test_plain_rows_take_the_compiled_norm(measured) -> None:
    assert measured["plain"] == "openrlhf_cpu"


@pytest.mark.parametrize(
    "kind", ["with gaps", "heads", "no weight", "bfloat16", "other dtype", "part of a row"]
)
def test_other_inputs_take_the_formula(measured, kind) -> None:
    assert measured[kind] == "native"
