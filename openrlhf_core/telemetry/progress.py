"""Where the run stands, kept for the progress server and the display.

Written by the driver, read from the server's threads; `Progress` itself never changes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from openrlhf_core.spec.progress import CheckpointRecord, Phase, Progress

_PACE_STEPS = 10
"""The pace is the mean over so many last steps."""


class ProgressBoard:
    """The current `Progress`, replaced as a whole at each event. About 10 microseconds an event."""

    def __init__(
        self,
        attempt: int,
        total_steps: int,
        versions: Mapping[str, str],
        resumed_from: CheckpointRecord | None = None,
        checkpoint_count: int = 0,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ends: deque[float] = deque(maxlen=_PACE_STEPS + 1)
        self._progress = Progress(
            attempt=attempt,
            phase="starting",
            step=0 if resumed_from is None else resumed_from.step,
            total_steps=total_steps,
            resumed_from_step=None if resumed_from is None else resumed_from.step,
            last_update_time=clock(),
            metrics={},
            checkpoint=resumed_from,
            checkpoint_count=checkpoint_count,
            versions=dict(versions),
        )

    def snapshot(self) -> Progress:
        """The latest state; any thread may ask."""
        with self._lock:
            return self._progress

    def resume_from(self, checkpoint: CheckpointRecord | None, checkpoint_count: int) -> None:
        """Notes which checkpoint the run really goes on from; None: from the beginning."""
        step = 0 if checkpoint is None else checkpoint.step
        self._update(
            step=step,
            resumed_from_step=None if checkpoint is None else step,
            checkpoint=checkpoint,
            checkpoint_count=checkpoint_count,
        )

    def enter(self, phase: Phase) -> None:
        """Notes what the driver begins to do; the first phase after the start sets the clock."""
        now = self._clock()
        if not self._ends and phase != "starting":
            self._ends.append(now)
        self._update(phase=phase, last_update_time=now)

    def finish_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Notes a finished step and its metrics; one without samples keeps its value from before.

        Samples and tokens a second are those made (`rollout/num_...`), or trained on where nothing
        is made (`data/num_...`), over `time/step_seconds`.
        """
        now = self._clock()
        self._ends.append(now)
        seconds = metrics.get("time/step_seconds", 0.0)
        self._update(
            step=step,
            last_update_time=now,
            metrics={**self._progress.metrics, **metrics},
            samples_per_second=_rate(_count(metrics, "num_samples"), seconds),
            tokens_per_second=_rate(_count(metrics, "num_tokens"), seconds),
            estimated_remaining_seconds=self._remaining(step),
        )

    def commit(self, record: CheckpointRecord, count: int) -> None:
        """Notes a committed checkpoint and how many there are."""
        self._update(checkpoint=record, checkpoint_count=count, last_update_time=self._clock())

    def _remaining(self, step: int) -> float | None:
        if len(self._ends) < 2:
            return None
        pace = (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
        return max(0.0, pace * (self._progress.total_steps - step))

    def _update(self, **changes: object) -> None:
        with self._lock:
            self._progress = self._progress.model_copy(update=changes)


def _count(metrics: Mapping[str, float], name: str) -> float | None:
    return metrics.get(f"rollout/{name}", metrics.get(f"data/{name}"))


def _rate(count: float | None, seconds: float) -> float | None:
    return None if count is None or seconds <= 0 else count / seconds
