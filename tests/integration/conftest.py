"""The processes and the finished runs that integration tests share for a session."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import run_lab

ROLLOUT_LAB = Path(__file__).parent / "labs" / "rollout_lab.py"
CASE_SECONDS = 300.0
RAY = str(Path(sys.executable).parent / "ray")
PORT = "46379"
ADDRESS = f"127.0.0.1:{PORT}"
JOB_NUMBER = f"""
import ray
ray.init(address="{ADDRESS}", logging_level="ERROR", log_to_driver=False)
print("job", ray.get_runtime_context().get_job_id(), "nodes", len(ray.nodes()))
"""

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


@pytest.fixture(scope="session")
def measure_experts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measure]:
    """As `measure_rollouts`, in another process.

    vLLM makes the process group of experts with the first model of a process or never.
    """
    with rollout_lab(tmp_path_factory.mktemp("experts")) as measure:
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


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], run_lab.Trained]:
    """Runs an example as it is shipped, once for all tests, and returns what it left."""

    @cache
    def train(example: Path) -> run_lab.Trained:
        output = tmp_path_factory.mktemp(example.stem) / "out"
        finished = run_lab.run(output, manifest=example)
        assert finished.exit_code == 0, finished.text
        return run_lab.Trained(output, finished.text)

    return train


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> run_lab.Undisturbed:
    """The long run beside another Ray that RAY_ADDRESS names."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    with other_ray(), pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_ADDRESS", ADDRESS)
        finished = run_lab.run(output, *run_lab.LONG)
        patched.delenv("RAY_ADDRESS")
        seen = subprocess.run(
            [sys.executable, "-c", JOB_NUMBER],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ,
        )
    return run_lab.Undisturbed(output, finished, seen)


@contextmanager
def other_ray() -> Iterator[None]:
    """A Ray that somebody else started here."""
    start = (RAY, "start", "--head", "--block", "--port", PORT, "--num-cpus=1")
    with tempfile.TemporaryDirectory(prefix="other-", dir="/tmp") as directory:
        process = subprocess.Popen(
            [*start, "--include-dashboard=false", "--temp-dir", directory],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if b"Ray runtime started" in line:
                break
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
