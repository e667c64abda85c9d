"""Models and settings that an engine refuses, and stop texts, which need a tokenizer."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LAB = Path(__file__).with_name("rollout_lab.py")


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> dict:
    workdir = tmp_path_factory.mktemp("refusals")
    subprocess.run([sys.executable, str(LAB), "refusals", str(workdir)], check=True, timeout=300)
    return json.loads((workdir / "results.json").read_text())


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("head_size", "attention heads of size 16"),
        ("architecture", "NoSuchModel"),
        ("stop_without_tokenizer", "has no tokenizer"),
        ("too_long", "add up to 257 tokens"),
        ("small_cache", "raise rollout.kvCacheBytes"),
    ],
)
def test_what_an_engine_cannot_run_is_a_configuration_error(measured, case, reason) -> None:
    assert measured[case].startswith("ConfigurationError: ")
    assert reason in measured[case]


def test_a_stop_text_ends_a_completion_and_stays_in_it(measured) -> None:
    stopped = [tokens for reason, tokens in measured["stopped"] if 9 in tokens]
    assert stopped
    assert all(tokens.index(9) == len(tokens) - 1 for tokens in stopped)
    assert all(reason == "stop" for reason, tokens in measured["stopped"] if 9 in tokens)
