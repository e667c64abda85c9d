"""One attempt at recipe RL: prepare, resume, train, publish; a stop commits what is finished."""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from openrlhf_core.checkpoint import Checkpoint, CheckpointStore
from openrlhf_core.checkpoint_manifest import RunState
from openrlhf_core.output import OutputClaim
from openrlhf_core.published_model import publish_model
from openrlhf_core.recipes.rl.setup import Crew, Prepared, load_crew, prepare, start_crew
from openrlhf_core.recipes.rl.step import sync_weights, train
from openrlhf_core.recipes.run.journal import LEARNER_DIRECTORY, MODEL_DIRECTORY, Journal, RLState
from openrlhf_core.spec.exit_codes import ConfigurationError, StopRequested
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
    claim: OutputClaim,
    controls: Controls,
    end: AttemptEnd,
) -> None:
    """Trains until the end or a RunError; `end` tells how far it came."""
    stop, display = controls.stop, controls.display
    display.wait_for("reading the data")
    prepared = prepare(
        config,
        around.base,
        lambda name, done, total: display.count(f"reading the data: {name}", done, total),
    )
    stop.check()
    output = Path(config.output)
    store = CheckpointStore(output, config.training.checkpoint.keep, claim.still_ours)
    found = store.newest() if claim.status == "resume" else None
    state = resumed_state(found, prepared)
    if found is not None:
        end.resumed_from_step, end.committed = found.step, found.record
        display.note(f"resumes from step {found.step}")
    board = ProgressBoard(
        around.attempt or 1,
        prepared.plan.total_steps,
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
        crew = start_crew(config, prepared, stop)
        recorder = stack.enter_context(closing(open_recorder(config, claim, state.step)))
        journal = Journal(
            recorder,
            store,
            board,
            display,
            stop,
            state=state,
            every_steps=config.training.checkpoint.every_steps,
            save=lambda staged: save_crew(crew, staged),
            run_state=lambda now: run_state(config, prepared, crew, now),
            committed=end.committed,
        )
        display.wait_for("loading the models")
        try:
            train_crew(config, prepared, crew, journal, found)
        except StopRequested:
            commit_when_stopped(crew, journal)
            raise
        finally:
            end.committed = journal.committed
        publish(output, journal.commit(), claim)
        end.is_published = True


def train_crew(
    config: RunConfig,
    prepared: Prepared,
    crew: Crew,
    journal: Journal,
    found: Checkpoint | None,
) -> None:
    """Loads the models, continues from the checkpoint, trains, commits the last step."""

    def resume_learners() -> None:
        if found is not None:
            crew.learners.load(found.directory / LEARNER_DIRECTORY)
        journal.trust_weights()

    workers = load_crew(config, prepared, crew, resume_learners)
    sync_weights(workers, journal.state.policy_version)
    train(prepared.plan, workers, journal)
    journal.commit()


def commit_when_stopped(crew: Crew, journal: Journal) -> None:
    """Commits the last finished step; where the learner holds half a step, the newest stands."""
    if journal.can_commit:
        crew.rollouts.kill()
        crew.learners.abandon()
        crew.learners.wake()
        journal.commit()


def save_crew(crew: Crew, staged: Path) -> None:
    """Writes what resumes the learner, and the model as safetensors, into a staged directory."""
    crew.learners.save(staged / LEARNER_DIRECTORY)
    crew.learners.export(staged / MODEL_DIRECTORY)


def resumed_state(found: Checkpoint | None, prepared: Prepared) -> RLState:
    """Returns where a run goes on; ConfigurationError when its data is not what it was."""
    if found is None:
        return RLState(step=0, position=0, policy_version=0)
    if found.state.dataset_fingerprint != prepared.stream.fingerprint:
        raise ConfigurationError(
            f"training.data: the prompts differ from those that {found.directory} was trained on "
            "(rows, labels, templates or the tokenizer changed); restore them, or choose another "
            "output directory"
        )
    return RLState(found.step, found.state.data_cursor, found.state.policy_version)


def run_state(config: RunConfig, prepared: Prepared, crew: Crew, state: RLState) -> RunState:
    """Returns what a checkpoint holds beside the learner's files."""
    spec = config.training.model_dump_json(by_alias=True, exclude_none=True)
    return RunState(
        data_cursor=state.position,
        policy_version=state.policy_version,
        seed=config.training.seed,
        spec_hash=hashlib.sha256(spec.encode()).hexdigest(),
        dataset_fingerprint=prepared.stream.fingerprint,
        world_size=crew.learners.num_ranks,
        versions=library_versions(),
    )


def serve_progress(
    config: RunConfig, board: ProgressBoard, stop: StopFlag, token: str | None
) -> ProgressServer:
    """Opens the driver's two ports."""
    labels = JobLabels(namespace=config.namespace, rlhfjob=config.name)
    return ProgressServer(config.ports, board, labels, lambda: stop.request("POST /stop"), token)


def open_recorder(config: RunConfig, claim: OutputClaim, start_step: int) -> Recorder:
    """Opens metrics.jsonl, cut to the step that the run goes on from, and the trackers."""
    output = Path(config.output)
    sinks = open_sinks(config, claim.run_id, start_step)
    return Recorder(output, start_step, sinks, claim.still_ours)


def publish(output: Path, record: CheckpointRecord, claim: OutputClaim) -> None:
    """Puts the trained model in its place and notes that the run is done."""
    claim.still_ours()
    publish_model(output / record.path / MODEL_DIRECTORY, output / MODEL_DIRECTORY)
    claim.finish(record.step)
