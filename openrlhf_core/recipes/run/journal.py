"""Records the steps of a run: metric rows, progress, checkpoints; and what a stop may commit.

A row is on the disk before the checkpoint of its step commits, so no kill loses a row.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from openrlhf_core.checkpoint import CheckpointStore
from openrlhf_core.checkpoint_manifest import FileEntry, RunState
from openrlhf_core.spec.exit_codes import WorkAbandoned
from openrlhf_core.spec.progress import CheckpointRecord, Phase
from openrlhf_core.stop import StopFlag
from openrlhf_core.telemetry.display import Display
from openrlhf_core.telemetry.progress import ProgressBoard
from openrlhf_core.telemetry.recorder import Recorder


@dataclass(frozen=True)
class TrainingState:
    """Where the last finished step left the run. A checkpoint holds it."""

    step: int
    """Last finished step; 0 before the first."""
    data_cursor: int
    """Samples taken from the stream of training data so far."""
    policy_version: int
    """Version of the weights that learner and engines hold; 0 is the model before training."""


@dataclass
class Row:
    """The metrics of one step, filled while it goes on."""

    step: int
    started: float
    metrics: dict[str, float] = field(default_factory=dict)


class Journal:
    """Records the steps of a run.

    `save` writes the learners' files and the model into a staged directory and returns their
    hashes; `run_state` is what the driver adds to them. `state` is that of the last finished step.
    """

    def __init__(
        self,
        recorder: Recorder,
        store: CheckpointStore,
        board: ProgressBoard,
        display: Display,
        stop: StopFlag,
        *,
        state: TrainingState,
        every_steps: int,
        save: Callable[[Path], Sequence[FileEntry]],
        run_state: Callable[[TrainingState], RunState],
        committed: CheckpointRecord | None = None,
    ) -> None:
        self._recorder = recorder
        self._store = store
        self._board = board
        self._display = display
        self._stop = stop
        self._every_steps = every_steps
        self._save = save
        self._run_state = run_state
        self._committed = committed
        self._checkpoint_seconds: float | None = None
        self._weights_follow_state = False
        self.state = state

    def trust_weights(self) -> None:
        """Notes that the learners have loaded the weights of `state`."""
        self._weights_follow_state = True

    def begin(self) -> Row:
        """Opens the next step's row; raises StopRequested when a stop was asked for."""
        self._stop.check()
        return Row(self.state.step + 1, time.monotonic())

    @contextlib.contextmanager
    def phase(self, row: Row, phase: Phase) -> Iterator[None]:
        """Shows `phase` as what the run is doing and adds its seconds to the row."""
        self._board.enter(phase)
        self._display.show(self._board.snapshot())
        started = time.monotonic()
        yield
        row.metrics[f"time/{phase}"] = time.monotonic() - started

    @contextlib.contextmanager
    def weights_change(self) -> Iterator[None]:
        """Marks that optimizer steps run: until `finish` the weights are those of no step.

        Work that was abandoned has changed no weight.
        """
        followed_before = self._weights_follow_state
        self._weights_follow_state = False
        try:
            yield
        except WorkAbandoned:
            self._weights_follow_state = followed_before
            raise

    def finish(self, row: Row, state: TrainingState) -> TrainingState:
        """Writes the row, then commits a checkpoint when one is due; returns `state`."""
        row.metrics["time/step_seconds"] = time.monotonic() - row.started
        if self._checkpoint_seconds is not None:
            row.metrics["time/checkpoint"] = self._checkpoint_seconds
        self._board.finish_step(row.step, self._recorder.record(row.step, row.metrics))
        self._display.show(self._board.snapshot())
        self.state, self._weights_follow_state = state, True
        if self._every_steps and state.step % self._every_steps == 0:
            self.commit()
        return state

    def commit(self) -> CheckpointRecord:
        """Commits the last finished step, unless that is done."""
        if self._committed is not None and self._committed.step == self.state.step:
            return self._committed
        self._board.enter("checkpoint")
        self._display.show(self._board.snapshot())
        started = time.monotonic()
        staged = self._store.stage(self.state.step)
        try:
            hashed = self._save(staged)
            self._recorder.flush()
        except BaseException:
            self._store.abandon(staged)
            raise
        state = self._run_state(self.state)
        self._committed = self._store.commit(staged, self.state.step, state, hashed)
        self._checkpoint_seconds = time.monotonic() - started
        self._board.commit(self._committed, self._store.count())
        return self._committed

    @property
    def committed(self) -> CheckpointRecord | None:
        """The newest committed checkpoint."""
        return self._committed

    @property
    def can_commit(self) -> bool:
        """Whether the learners hold the weights of the last finished step."""
        return self._weights_follow_state
