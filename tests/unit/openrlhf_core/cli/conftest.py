"""Runs the command in this process."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from openrlhf_core.cli.main import main

MANIFESTS = Path(__file__).parents[3] / "manifests"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def rlhf(capsys, monkeypatch) -> Callable[..., Ended]:
    """Runs `rlhf ARGUMENTS…` and gives back its exit code and output."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


@pytest.fixture
def python() -> Callable[[str], str]:
    """Runs Python code in a fresh process and gives back what it prints."""

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        return done.stdout

    return run


@pytest.fixture
def base_manifest() -> Path:
    return MANIFESTS / "base.yaml"
