"""Where a step's metrics go besides metrics.jsonl: the protocol of trackers."""

from collections.abc import Mapping
from typing import Protocol


class MetricSink(Protocol):
    """Takes the metrics of each step, in order of the steps."""

    def write(self, step: int, time: float, metrics: Mapping[str, float]) -> None:
        """Takes one step's finite metrics; `time` is Unix seconds."""

    def close(self) -> None:
        """Delivers what is still on its way."""
