"""TensorBoard events and which sinks a spec opens."""

import subprocess
import sys
from pathlib import Path

import pytest

from openrlhf_core.spec.kinds.records import LoggingSpec
from openrlhf_core.spec.run_config import RunConfig
from openrlhf_core.telemetry.sink import MetricSink
from openrlhf_core.telemetry.sinks import open_sinks


def make_config(output: Path, logging: LoggingSpec) -> RunConfig:
    config = {
        "name": "job",
        "output": str(output),
        "device": {"kind": "CPU"},
        "training": {
            "recipe": "RL",
            "model": {"policy": {"source": "builtin://tiny"}},
            "reward": {"functions": [{"source": "builtin://digits"}]},
            "data": {"train": [{"source": "builtin://digits"}]},
            "rl": {"algorithm": "GRPO"},
            "logging": logging,
            "maxSteps": 5,
        },
    }
    return RunConfig.model_validate(config, strict=False)


def open_for(output: Path, logging: LoggingSpec, start_step: int = 0) -> list[MetricSink]:
    return open_sinks(make_config(output, logging), "ab12", start_step)


def read_scalars(directory: Path, tag: str) -> list[tuple[int, float]]:
    """What TensorBoard itself shows for a directory, in a process of its own."""
    code = (
        "import sys\n"
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "events = EventAccumulator(sys.argv[1])\n"
        "events.Reload()\n"
        "print([(e.step, round(e.value, 6)) for e in events.Scalars(sys.argv[2])])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(directory), tag],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    scalars: list[tuple[int, float]] = eval(done.stdout)
    return scalars


def test_a_plain_spec_opens_no_sink(tmp_path: Path) -> None:
    assert open_for(tmp_path, LoggingSpec()) == []


def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path: Path) -> None:
    for start_step, last in ((0, 4), (2, 5)):
        (sink,) = open_for(tmp_path, LoggingSpec(tensorboard=True), start_step)
        for step in range(start_step + 1, last + 1):
            sink.write(step, 1763830000.0 + step, {"reward/mean": step + start_step / 10})
        sink.close()
    shown = read_scalars(tmp_path / "tensorboard", "reward/mean")
    assert shown == [(1, 1.0), (2, 2.0), (3, 3.2), (4, 4.2), (5, 5.2)]


MISSING = """
import importlib, sys
sys.modules[sys.argv[1]] = None
from openrlhf_core.spec.exit_codes import ConfigurationError
try:
    importlib.import_module(f"openrlhf_core.telemetry.{sys.argv[1]}_sink")
except ConfigurationError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "extra"), [("tensorboard", "[tensorboard]"), ("wandb", "[wandb]")]
)
def test_a_sink_that_is_not_installed_names_its_extra(module: str, extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MISSING, module],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert f"pip install rlhf-operator{extra}" in done.stdout
