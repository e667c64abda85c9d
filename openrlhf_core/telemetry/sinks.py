"""Opens the trackers that `training.logging` asks for."""

from pathlib import Path

from openrlhf_core.spec.run_config import RunConfig
from openrlhf_core.telemetry.sink import MetricSink


def open_sinks(config: RunConfig, run_id: str, start_step: int) -> list[MetricSink]:
    """Returns one sink for each tracker; ConfigurationError when one is not installed."""
    wanted, output = config.training.logging, Path(config.output)
    sinks: list[MetricSink] = []
    if wanted.tensorboard:
        # An optional extra: imported only when the manifest asks for it.
        from openrlhf_core.telemetry.tensorboard_sink import TensorBoardSink  # noqa: PLC0415

        sinks.append(TensorBoardSink(output / "tensorboard", start_step))
    if wanted.wandb is not None:
        from openrlhf_core.telemetry.wandb_sink import WandbSink  # noqa: PLC0415

        training = config.training.model_dump(mode="json", by_alias=True, exclude_none=True)
        sinks.append(WandbSink(wanted.wandb, output, run_id, config.name, training))
    return sinks
