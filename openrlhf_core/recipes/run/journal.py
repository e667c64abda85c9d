"""What a run leaves behind, step by step: rows, progress, checkpoints.

A row is on the disk before the checkpoint of its step commits, so no kill loses a row.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from openrlhf_core.checkpoint import CheckpointStore
from openrlhf_core.checkpoint_manifest import RunState
from openrlhf_core.spec.exit_codes import WorkAbandoned
from openrlhf_core.spec.progress import CheckpointRecord, Phase
from openrlhf_core.stop import StopFlag
from openrlhf_core.telemetry.display import Display
from openrlhf_core.telemetry.progress import ProgressBoard
from openrlhf_core.telemetry.recorder import Recorder

LEARNER_DIRECTORY = "learner"
MODEL_DIRECTORY = "model"


@dataclass(frozen=True)
class RLState:
    """What a step hands to the next; a checkpoint holds it."""

    step: int
    """Last finished step."""
    position: int
    """Prompts taken from the stream."""
    policy_version: int
    """Version of the weights that learner and engines hold; 0 is the model as it came."""


@dataclass
class Row:
    """The metrics of one step, filled while it goes on."""

    step: int
    started: float
    metrics: dict[str, float] = field(default_factory=dict)


class Journal:
    """Writes down the steps of a run.

    `save` writes the learner's files and the model into a staged directory; `run_state` is what
    the driver adds to them. `state` is the last finished step's.
    """

    def __init__(
        self,
        recorder: Recorder,
        store: CheckpointStore,
        board: ProgressBoard,
        display: Display,
        stop: StopFlag,
        *,
        state: RLState,
        every_steps: int,
        save: Callable[[Path], None],
        run_state: Callable[[RLState], RunState],
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
        """Notes that the learner has loaded the weights of `state`."""
        self._weights_follow_state = True

    def begin(self) -> Row:
        """Opens the next step's row; raises StopRequested when a stop was asked for."""
        self._stop.check()
        return Row(self.state.step + 1, time.monotonic())

    @contextlib.contextmanager
    def phase(self, row: Row, phase: Phase) -> Iterator[None]:
        """Shows `phase` as what the run is doing and adds its seconds to the row.

        Training that was abandoned has changed no weight.
        """
        self._board.enter(phase)
        self._display.show(self._board.snapshot())
        follow_before = self._weights_follow_state
        self._weights_follow_state = follow_before and phase != "train"
        started = time.monotonic()
        try:
            yield
        except WorkAbandoned:
            self._weights_follow_state = follow_before
            raise
        row.metrics[f"time/{phase}"] = time.monotonic() - started

    def finish(self, row: Row, state: RLState) -> RLState:
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
            self._save(staged)
            self._recorder.flush()
        except BaseException:
            self._store.abandon(staged)
            raise
        self._committed = self._store.commit(staged, self.state.step, self._run_state(self.state))
        self._checkpoint_seconds = time.monotonic() - started
        self._board.commit(self._committed, self._store.count())
        return self._committed

    @property
    def committed(self) -> CheckpointRecord | None:
        """The newest committed checkpoint."""
        return self._committed

    @property
    def can_commit(self) -> bool:
        """Whether the learner holds the weights of the last finished step, not of half a one."""
        return self._weights_follow_state
