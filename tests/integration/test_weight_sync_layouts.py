"""After a sync the engine's log-probs are the learner's, for every layout."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LAB = Path(__file__).with_name("rollout_lab.py")
LAYOUTS = ("qwen2-tied", "qwen2-untied", "llama-tied", "llama-untied")


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> dict:
    workdir = tmp_path_factory.mktemp("layouts")
    subprocess.run([sys.executable, str(LAB), "layouts", str(workdir)], check=True, timeout=300)
    return json.loads((workdir / "results.json").read_text())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fresh_engine_agrees_with_transformers(measured, layout) -> None:
    assert measured[layout]["gaps"][0] < 1e-4


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sync", [1, 2])
def test_an_engine_agrees_with_the_learner_after_each_sync(measured, layout, sync) -> None:
    assert measured[layout]["gaps"][sync] < 1e-4
    assert measured[layout]["versions"][sync - 1] == sync


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_that_did_not_arrive_would_show(measured, layout) -> None:
    assert measured[layout]["stale_gap"] > 0.1
