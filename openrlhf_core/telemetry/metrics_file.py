"""metrics.jsonl: one JSON object a finished step, in order, whatever kills the writer.

Read by `rlhf metrics`, the summary and people; written by the recorder.
"""

import json
import logging
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openrlhf_core.durable import fsync_path, writing

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True)
class MetricRow:
    """The metrics of one step. `time` is Unix seconds.

    Example: MetricRow(step=1, time=1763830000.0, metrics={"reward/mean": 0.25})
    """

    step: int
    time: float
    metrics: dict[str, float]

    def to_line(self) -> str:
        row = {"step": self.step, "time": round(self.time, 3), "metrics": self.metrics}
        return json.dumps(row, allow_nan=False) + "\n"


def read_rows(path: Path) -> list[MetricRow]:
    """Every whole row of a file that may still be growing; a torn last line is left out."""
    return [row for _, row in _numbered_rows(path)] if path.exists() else []


def _numbered_rows(path: Path) -> Iterator[tuple[bytes, MetricRow]]:
    """Lines as they lie in the file, with what they say; logs a damaged one and goes on."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            row = _parse(line)
            if row is not None:
                yield line, row
            elif line.endswith(b"\n"):
                logger.warning("%s:%d is not a row of metrics and is left out", path, number)


def _parse(line: bytes) -> MetricRow | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row: Any = json.loads(line)
        return MetricRow(int(row["step"]), float(row["time"]), dict(row["metrics"]))
    except (ValueError, KeyError, TypeError):
        return None


def cut_rows(path: Path, last_step: int) -> None:
    """Leaves the rows up to `last_step` in a new file of the same name, durably.

    A writer that still holds the old file (an attempt that was taken over) writes into nothing.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with writing(path):
        with aside.open("wb") as file:
            if path.exists():
                file.writelines(line for line, row in _numbered_rows(path) if row.step <= last_step)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        fsync_path(path.parent)
