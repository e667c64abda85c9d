"""The real W&B client, offline and without a key."""

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from pathlib import Path
from openrlhf_core.spec.exit_codes import RunError
from openrlhf_core.spec.kinds.records import WandbSpec
from openrlhf_core.telemetry.wandb_sink import WandbSink
try:
    sink = WandbSink(WandbSpec(project="rlhf"), Path(sys.argv[1]), "ab12", "job", {"seed": 1})
except RunError as error:
    print(type(error).__name__, error)
    sys.exit(0)
for step in range(1, 4):
    sink.write(step, 1763830000.0 + step, {"reward/mean": step / 4})
sink.close()
print("closed")
"""


def run(output: Path, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE, str(output)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**clean, **environment},
    )
    return done.stdout


def test_offline_keeps_the_run_under_its_id_on_this_machine(tmp_path: Path) -> None:
    assert run(tmp_path, WANDB_MODE="offline").endswith("closed\n")
    assert len(list(tmp_path.glob("wandb/wandb/offline-run-*/run-ab12.wandb"))) == 1


def test_an_online_run_needs_the_key(tmp_path: Path) -> None:
    answer = run(tmp_path)
    assert answer.startswith("ConfigurationError") and "WANDB_API_KEY" in answer


def test_a_refused_key_is_a_clear_error(tmp_path: Path) -> None:
    answer = run(tmp_path, WANDB_API_KEY="tooshort")
    assert "training.logging.wandb" in answer and answer.startswith(
        ("ConfigurationError", "RetryableError")
    )
