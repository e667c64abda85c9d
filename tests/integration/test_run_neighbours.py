"""Another Ray on the machine is neither joined nor touched, also when RAY_ADDRESS names it."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import run_lab

RAY = str(Path(sys.executable).parent / "ray")
PORT = "46379"
ADDRESS = f"127.0.0.1:{PORT}"
FIRST_JOB = "01000000"
JOB_NUMBER = f"""
import ray
ray.init(address="{ADDRESS}", logging_level="ERROR", log_to_driver=False)
print("job", ray.get_runtime_context().get_job_id(), "nodes", len(ray.nodes()))
"""


@pytest.fixture
def other_ray() -> Iterator[subprocess.Popen[bytes]]:
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
        yield process
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.mark.usefixtures("other_ray")
def test_another_ray_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("RAY_ADDRESS", ADDRESS)
        done = run_lab.run(tmp_path / "out", *run_lab.SMALL, "maxSteps=1")
    assert done.exit_code == 0, done.text
    # Ray numbers the programs that join it: had our run done so, this would be the second.
    seen = subprocess.run(
        [sys.executable, "-c", JOB_NUMBER],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
    )
    assert f"job {FIRST_JOB} nodes 1" in seen.stdout, seen.stderr
