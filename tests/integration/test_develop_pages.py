"""Whoever follows a page of docs/develop has something that trains."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import run_lab
from develop_pages import PAGES, copy_checkout, follow

STEPS = ("maxSteps=3", "checkpoint.everySteps=0")


def run_python(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": f"{checkout}:{checkout / 'operator'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=run_lab.PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_adds_is_tested_generated_and_trains(page: Path, tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path)
    added = follow(page, checkout)
    (example,) = [path for path in added if path.parent.name == "examples"]
    tests = [str(path) for path in added if path.name.startswith("test_")]
    run_python(checkout, "-m", "pytest", *tests)
    run_python(checkout, "-m", "rlhf_operator.codegen.crd")
    overrides = [part for step in STEPS for part in ("--set", step)]
    output = tmp_path / "out"
    run_python(
        checkout, "-m", "openrlhf_core", "run", str(example), "--output", str(output), *overrides
    )
    assert len(run_lab.read_rows(output)) == 3
