"""Where a step's metrics go besides metrics.jsonl: the protocol, and which sinks a spec names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from openrlhf_core.spec.records import LoggingSpec


class MetricSink(Protocol):
    """Takes the metrics of each step, in order of the steps."""

    def write(self, step: int, time: float, metrics: Mapping[str, float]) -> None:
        """Takes one step's finite metrics; `time` is Unix seconds."""

    def close(self) -> None:
        """Delivers what is still on its way."""


def open_sinks(
    logging_spec: LoggingSpec,
    output: Path,
    *,
    start_step: int,
    run_id: str,
    job_name: str,
    training: Mapping[str, Any],
) -> list[MetricSink]:
    """The sinks that `training.logging` names; ConfigurationError when one is not installed.

    `run_id` is the same in every attempt, so that a resumed run continues its curves. `training` is
    the resolved spec as plain data, for trackers that show it.
    """
    sinks: list[MetricSink] = []
    if logging_spec.tensorboard:
        from openrlhf_core.telemetry.tensorboard_sink import TensorBoardSink  # noqa: PLC0415

        sinks.append(TensorBoardSink(output / "tensorboard", start_step))
    if logging_spec.wandb is not None:
        from openrlhf_core.telemetry.wandb_sink import WandbSink  # noqa: PLC0415

        sinks.append(WandbSink(logging_spec.wandb, output, run_id, job_name, training))
    return sinks
