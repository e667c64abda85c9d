"""Holds the output directory: one writer at a time, one run, continued only by the same spec.

Called by the driver before anything else is started, so that a wrong directory costs nothing.
"""

import uuid
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from openrlhf_core.durable import explain_write_error, write_durably, writing
from openrlhf_core.output_holder import AttemptLease, DirectoryLock, Holder
from openrlhf_core.run_record import RUN_FILE, RunRecord, differences, grows
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.training import TrainingSpec

RunStatus = Literal["new", "resume", "finished"]

_OURS = ("metrics.jsonl", "summary.json", "checkpoints", "model", "tensorboard")


class OutputDirectory:
    """An output directory that this process alone may write, until `release` or its end.

    `status`: "new" begins at step 0; "resume" continues from the newest checkpoint that verifies,
    if there is one; "finished" has nothing left to do.
    """

    def __init__(self, path: Path, run: RunRecord, status: RunStatus, holder: Holder) -> None:
        self.path = path
        self.status = status
        self._run = run
        self._holder = holder

    @property
    def run_id(self) -> str:
        """Name of the run at trackers: the same in every attempt."""
        return self._run.run_id

    @property
    def began(self) -> datetime:
        """When the run began: the same in every attempt."""
        return self._run.began

    @property
    def finished_step(self) -> int | None:
        """Last step of a finished run."""
        return self._run.finished_step

    def still_ours(self) -> None:
        """Raises RetryableError when another attempt has taken the directory."""
        self._holder.still_ours()

    def finish(self, step: int) -> None:
        """Notes that the run is done after `step`; running it again says so."""
        self.still_ours()
        self._run = self._run.model_copy(update={"finished_step": step})
        write_durably(self.path / RUN_FILE, self._run.to_json())

    def release(self) -> None:
        """Lets another run have the directory."""
        self._holder.release()


def hold_output(
    output: Path, training: TrainingSpec, attempt: int | None = None, job_uid: str = ""
) -> OutputDirectory:
    """Makes the directory this run's, or raises ConfigurationError that says what is in the way.

    `attempt` None: on one machine, where a living run keeps others out. On a cluster the higher
    attempt of a job (`job_uid`) takes the directory and RetryableError stops the older one.
    """
    _make_directory(output)
    holder: Holder = (
        DirectoryLock(output) if attempt is None else AttemptLease(output, attempt, job_uid)
    )
    try:
        run, status = _join_run(output, training, job_uid)
    except BaseException:
        holder.release()
        raise
    return OutputDirectory(output, run, status, holder)


def _make_directory(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next((path for path in (output, *output.parents) if path.is_file()), output)
        raise ConfigurationError(
            f"{output}: cannot be the output directory, {file} is a file; choose another"
        ) from error
    except OSError as error:
        raise explain_write_error(output, error) from error


def _join_run(output: Path, training: TrainingSpec, job_uid: str) -> tuple[RunRecord, RunStatus]:
    """The run that the directory belongs to from now on, and how it goes on."""
    standing = _read_run(output)
    if standing is None:
        _refuse_foreign_files(output)
    if standing is None or not _has_results(output):
        began = datetime.now().astimezone()
        run = RunRecord(run_id=uuid.uuid4().hex, began=began, job_uid=job_uid, training=training)
        write_durably(output / RUN_FILE, run.to_json())
        return run, "new"
    _refuse_never(output, training, standing, job_uid)
    _refuse_differences(output, training, standing)
    if standing.finished_step is not None and not grows(standing.training, training):
        return standing, "finished"
    run = standing.model_copy(update={"training": training, "finished_step": None})
    write_durably(output / RUN_FILE, run.to_json())
    with writing(output):
        (output / "summary.json").unlink(missing_ok=True)  # it tells how a run ended
    return run, "resume"


def _read_run(output: Path) -> RunRecord | None:
    path = output / RUN_FILE
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ConfigurationError(
            f"{path}: is not the record of a run that this version can continue; choose another "
            "output directory, or delete this one"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error


def _has_results(output: Path) -> bool:
    """Whether a step was finished or a checkpoint committed; else a corrected spec may start."""
    metrics = output / "metrics.jsonl"
    has_rows = metrics.exists() and metrics.stat().st_size > 0
    return has_rows or any((output / "checkpoints").glob("step-*"))


def _refuse_foreign_files(output: Path) -> None:
    """A directory without a record must not hold what we would write over."""
    found = [name for name in _OURS if (output / name).exists()]
    if found:
        raise ConfigurationError(
            f"{output}: holds {', '.join(found)} but no {RUN_FILE}, so it is not the output of a "
            "run and would be overwritten; choose another output directory, or move them away"
        )


def _refuse_never(output: Path, training: TrainingSpec, standing: RunRecord, job_uid: str) -> None:
    """`resume: Never` refuses the run of somebody else; a retry of the same job goes on."""
    is_retry = job_uid != "" and standing.job_uid == job_uid
    if training.checkpoint.resume == "Never" and not is_retry:
        raise ConfigurationError(
            f"{output}: holds a run, and training.checkpoint.resume is Never; choose another "
            "output directory, delete this one, or set resume: Auto to continue the run"
        )


def _refuse_differences(output: Path, training: TrainingSpec, standing: RunRecord) -> None:
    refused = [change for change in differences(standing.training, training) if not change.is_free]
    if refused:
        raise ConfigurationError(
            f"{output}: holds a run of another spec: {'; '.join(map(str, refused))}. Choose "
            "another output directory, delete this one, or restore the old values to continue it"
        )
