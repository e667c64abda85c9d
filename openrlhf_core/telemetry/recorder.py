"""Records the metrics of each finished step: metrics.jsonl first, then the sinks."""

import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from openrlhf_core.durable import writing
from openrlhf_core.spec.metrics import find_metric
from openrlhf_core.telemetry.metrics_file import METRICS_FILE, MetricRow, cut_rows
from openrlhf_core.telemetry.sink import MetricSink

logger = logging.getLogger(__name__)


def _nothing() -> None:
    pass


class Recorder:
    """Writes rows `start_step + 1`, `start_step + 2`, … of metrics.jsonl; older rows stay.

    A row is handed to the operating system before `record` returns, so that a kill of this process
    loses no row; `flush` writes the rows to the disk and is called before a checkpoint is
    committed. `still_ours` is called before each row and raises when another attempt has taken the
    directory.
    """

    def __init__(
        self,
        output: Path,
        start_step: int,
        sinks: Sequence[MetricSink] = (),
        still_ours: Callable[[], None] = _nothing,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = output / METRICS_FILE
        self._last_step = start_step
        self._sinks = sinks
        self._still_ours = still_ours
        self._clock = clock
        cut_rows(self._path, start_step)
        with writing(self._path):
            self._file = self._path.open("a", encoding="utf-8")

    def record(self, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Writes one row and returns the metrics in it: the finite ones.

        Raises ValueError for a name that is not in the catalogue or a step that does not follow.
        """
        if step != self._last_step + 1:
            raise ValueError(f"row {step} does not follow row {self._last_step} of {self._path}")
        finite = _keep_finite(metrics)
        row = MetricRow(step, self._clock(), finite)
        self._still_ours()
        with writing(self._path):
            self._file.write(row.to_line())
            self._file.flush()
        self._last_step = step
        for sink in self._sinks:
            sink.write(step, row.time, finite)
        return finite

    def flush(self) -> None:
        """Returns once every row is on the disk."""
        with writing(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flushes and closes the file and the sinks."""
        self.flush()
        self._file.close()
        for sink in self._sinks:
            sink.close()


def _keep_finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns the finite values. JSON cannot hold the others, and 0 would be wrong."""
    finite = {}
    for name, value in metrics.items():
        find_metric(name)
        if math.isfinite(value):
            finite[name] = float(value)
        else:
            logger.debug("%s is %s and is left out", name, value)
    return finite
