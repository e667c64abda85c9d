"""The processes that integration tests share for a session."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

ROLLOUT_LAB = Path(__file__).parent / "labs" / "rollout_lab.py"
CASE_SECONDS = 300.0

Measure = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def measure_rollouts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measure]:
    """Returns what a case of rollout_lab.py measured; each case runs once a session."""
    with rollout_lab(tmp_path_factory.mktemp("rollouts")) as measure:
        yield measure


@pytest.fixture(scope="session")
def measure_broken_syncs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measure]:
    """As `measure_rollouts`, in another process.

    A sync that fails halfway leaves the rotary embeddings of every engine in its process without
    data, as vLLM shares them.
    """
    with rollout_lab(tmp_path_factory.mktemp("broken-syncs")) as measure:
        yield measure


@contextmanager
def rollout_lab(workdir: Path) -> Iterator[Measure]:
    """Runs the lab while the block lasts."""
    log = workdir / "log.txt"
    with log.open("wb") as out:
        command = [sys.executable, str(ROLLOUT_LAB), str(workdir)]
        pipe = subprocess.PIPE
        lab = subprocess.Popen(command, stdin=pipe, stdout=out, stderr=out, text=True)
    assert lab.stdin is not None
    try:
        yield partial(measure_case, workdir, lab)
    finally:
        lab.stdin.close()
        lab.wait(60)


def measure_case(workdir: Path, lab: "subprocess.Popen[str]", case: str) -> dict[str, Any]:
    """Asks the lab for a case and waits for its file."""
    result, log = workdir / f"{case}.json", workdir / "log.txt"
    if not result.exists():
        print(case, file=lab.stdin, flush=True)
    end = time.monotonic() + CASE_SECONDS
    while not result.exists():
        assert lab.poll() is None, f"the lab ended in case {case}:\n{last_lines(log)}"
        assert time.monotonic() < end, f"case {case} takes too long:\n{last_lines(log)}"
        time.sleep(0.05)
    found: dict[str, Any] = json.loads(result.read_text())
    assert "error" not in found, found["error"]
    measured: dict[str, Any] = found["measured"]
    return measured


def last_lines(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:]
