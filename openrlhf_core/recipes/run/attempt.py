"""One attempt of a run of any recipe: prepare, resume, train, publish.

A stop commits the last finished step.
"""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from openrlhf_core.checkpoint import MODEL_DIRECTORY, Checkpoint, CheckpointStore
from openrlhf_core.checkpoint_manifest import RunState
from openrlhf_core.output import OutputDirectory
from openrlhf_core.published_model import publish_model
from openrlhf_core.recipes.recipe import Prepared, RunInputs, Session
from openrlhf_core.recipes.run.journal import Journal, TrainingState
from openrlhf_core.recipes.table import RECIPES
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError, StopRequested
from openrlhf_core.spec.planning.resolve import ResolvedTraining, resolve
from openrlhf_core.spec.progress import CheckpointRecord
from openrlhf_core.spec.run_config import RunConfig
from openrlhf_core.stop import StopFlag
from openrlhf_core.surroundings import Surroundings
from openrlhf_core.telemetry.display import Display
from openrlhf_core.telemetry.exposition import JobLabels
from openrlhf_core.telemetry.progress import ProgressBoard
from openrlhf_core.telemetry.recorder import Recorder
from openrlhf_core.telemetry.server import ProgressServer
from openrlhf_core.telemetry.sinks import open_sinks
from openrlhf_core.versions import library_versions


@dataclass
class AttemptEnd:
    """How far an attempt came, also when it ended with an error."""

    resumed_from_step: int | None = None
    committed: CheckpointRecord | None = None
    is_published: bool = False
    board: ProgressBoard | None = None
    """Where the run stands; None when it did not get that far."""


@dataclass(frozen=True)
class Controls:
    """How people and signals reach a run."""

    stop: StopFlag
    display: Display
    listen: Callable[[], None]
    """Installs the signal handlers, anew after a library has put in its own."""


def run_attempt(
    config: RunConfig,
    around: Surroundings,
    output: OutputDirectory,
    controls: Controls,
    end: AttemptEnd,
) -> None:
    """Trains until the end or a RunError; `end` tells how far it came."""
    stop, display = controls.stop, controls.display
    display.wait_for("reading the data")
    inputs = run_inputs(config, around, output.began, display)
    prepared = RECIPES[config.training.recipe](inputs)
    stop.check()
    keep = config.training.checkpoint.keep
    store = CheckpointStore(output.path, keep, output.still_ours)
    listed = store.newest_listed() if output.status == "resume" else None
    check_same_data(listed, prepared)
    end.committed = None if listed is None else listed.record
    board = ProgressBoard(
        around.attempt or 1,
        prepared.total_steps,
        library_versions(),
        end.committed,
        store.count(),
    )
    end.board = board
    with ExitStack() as stack:
        stack.enter_context(closing(serve_progress(config, board, stop, around.token)))
        display.wait_for("starting Ray")
        stack.enter_context(around.open_ray())
        controls.listen()
        display.wait_for("waiting for the devices")
        session = prepared.start(stop)
        found = None if listed is None else store.newest(session.changed_files)
        state = resumed_state(found)
        note_resume(found, end, board, display, store.count())
        recorder = stack.enter_context(closing(open_recorder(config, output, state.step)))
        journal = Journal(
            recorder,
            store,
            board,
            display,
            stop,
            state=state,
            every_steps=config.training.checkpoint.every_steps,
            save=session.save,
            run_state=lambda now: run_state(inputs.resolved, prepared, now),
            committed=end.committed,
        )
        display.wait_for("loading the models")
        try:
            train(session, found, journal, prepared.total_steps)
        finally:
            end.committed = journal.committed
        publish(output, journal.commit())
        end.is_published = True


def run_inputs(
    config: RunConfig, around: Surroundings, began: datetime, display: Display
) -> RunInputs:
    """Returns what a recipe prepares a run from; the training spec is resolved here, once."""
    return RunInputs(
        config=config,
        resolved=resolve(config.training),
        began=began,
        locator=Locator(around.base, None if config.cache is None else Path(config.cache)),
        on_progress=lambda name, done, total: display.count(
            f"reading the data: {name}", done, total
        ),
    )


def train(session: Session, found: Checkpoint | None, journal: Journal, total_steps: int) -> None:
    """Loads the models and trains to the last step; a stop commits the last finished one.

    Where the learners hold half a step, the newest committed checkpoint stands.
    """
    try:
        session.load(found, journal)
        while journal.state.step < total_steps:
            session.step(journal)
        journal.commit()
    except StopRequested:
        if journal.can_commit:
            session.leave_work()
            journal.commit()
        raise


def check_same_data(found: Checkpoint | None, prepared: Prepared) -> None:
    """Raises ConfigurationError when a checkpoint was trained on other data."""
    if found is not None and found.state.dataset_fingerprint != prepared.dataset_fingerprint:
        raise ConfigurationError(
            f"training.data: the data differ from those that {found.directory} was trained on "
            "(rows, labels, templates or the tokenizer changed); restore them, or choose another "
            "output directory"
        )


def resumed_state(found: Checkpoint | None) -> TrainingState:
    """Returns where the run goes on."""
    if found is None:
        return TrainingState(step=0, data_cursor=0, policy_version=0)
    return TrainingState(found.step, found.state.data_cursor, found.state.policy_version)


def note_resume(
    found: Checkpoint | None,
    end: AttemptEnd,
    board: ProgressBoard,
    display: Display,
    num_checkpoints: int,
) -> None:
    """Tells the summary, the progress server and people which checkpoint the run goes on from."""
    end.committed = None if found is None else found.record
    board.resume_from(end.committed, num_checkpoints)
    if found is not None:
        end.resumed_from_step = found.step
        display.note(f"resumes from step {found.step}")


def run_state(resolved: ResolvedTraining, prepared: Prepared, state: TrainingState) -> RunState:
    """Returns what a checkpoint holds beside the learners' files."""
    spec = resolved.spec.model_dump_json(by_alias=True, exclude_none=True)
    return RunState(
        data_cursor=state.data_cursor,
        policy_version=state.policy_version,
        seed=resolved.spec.seed,
        spec_hash=hashlib.sha256(spec.encode()).hexdigest(),
        dataset_fingerprint=prepared.dataset_fingerprint,
        world_size=len(resolved.plan.ranks["Policy"]),
        versions=library_versions(),
    )


def serve_progress(
    config: RunConfig, board: ProgressBoard, stop: StopFlag, token: str | None
) -> ProgressServer:
    """Opens the driver's two ports."""
    labels = JobLabels(namespace=config.namespace, rlhfjob=config.name)
    return ProgressServer(config.ports, board, labels, lambda: stop.request("POST /stop"), token)


def open_recorder(config: RunConfig, output: OutputDirectory, start_step: int) -> Recorder:
    """Opens metrics.jsonl, cut to the step that the run goes on from, and the trackers."""
    sinks = open_sinks(config, output.run_id, start_step)
    return Recorder(output.path, start_step, sinks, output.still_ours)


def publish(output: OutputDirectory, record: CheckpointRecord) -> None:
    """Puts the trained model in its place and notes that the run is done."""
    output.still_ours()
    publish_model(output.path / record.path / MODEL_DIRECTORY, output.path / MODEL_DIRECTORY)
    output.finish(record.step)
