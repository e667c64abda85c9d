"""A checkpoint is committed or it does not exist.

The learner ranks write into a staged directory with a hidden name, and hash and fsync what they
wrote. `commit` writes the manifest last, renames the directory and fsyncs its parent. Only then
are older checkpoints removed. A kill at any point leaves the checkpoints that were committed
before, whole, and at most leftovers with hidden names, which the next `stage` removes.
"""

import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from openrlhf_core.checkpoint_manifest import (
    MANIFEST,
    ChangedFiles,
    FileEntry,
    InvalidCheckpoint,
    Manifest,
    RunState,
    changed_files,
    describe_files,
    list_files,
    read_manifest,
    render,
    verify,
)
from openrlhf_core.durable import explain_write_error, fsync_path, write_durably, writing
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.progress import CheckpointRecord

logger = logging.getLogger(__name__)

ROLES_DIRECTORY = "roles"
"""Holds a directory for each trained role: what its learner needs to continue."""
MODEL_DIRECTORY = "model"
"""Holds the trained model in Hugging Face layout."""

_NAME = re.compile(r"step-(\d{8,})")


def role_directory(checkpoint: Path, role: str) -> Path:
    """Where a checkpoint holds what the learner of `role` needs: `roles/<role>`."""
    return checkpoint / ROLES_DIRECTORY / role.lower()


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Checkpoint:
    """A committed checkpoint. Made by `CheckpointStore`."""

    record: CheckpointRecord
    directory: Path
    state: RunState

    @property
    def step(self) -> int:
        return self.record.step


class CheckpointStore:
    """The checkpoints below `<output>/checkpoints`; one process at a time may write them.

    `keep` newest ones stay. `still_ours` is asked right before a checkpoint appears and raises when
    another attempt has taken the directory. `failpoint` is told each durable step by name: tests
    kill the process there.
    """

    def __init__(
        self,
        output: Path,
        keep: int,
        still_ours: Callable[[], None] = _nothing,
        failpoint: Callable[[str], None] = _nothing,
    ) -> None:
        self._output = output
        self._root = output / "checkpoints"
        self._keep = keep
        self._still_ours = still_ours
        self._failpoint = failpoint
        self._staged: set[Path] = set()

    def stage(self, step: int) -> Path:
        """Makes the hidden directory that the ranks write step `step` into, and returns it."""
        staged = self._root / f".{_name(step)}.tmp-{uuid.uuid4().hex}"
        with writing(staged):
            self._root.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            staged.mkdir()
        self._staged.add(staged)
        self._failpoint("staged")
        return staged

    def commit(
        self, staged: Path, step: int, state: RunState, hashed: Sequence[FileEntry] = ()
    ) -> CheckpointRecord:
        """Makes what lies in `staged` the checkpoint of `step`, on the disk when it returns.

        `hashed` are files that their writers have hashed and fsynced; the others are read here.
        When a checkpoint of that step is there and verifies, it stays and `staged` goes. Raises a
        RunError (full disk, volume lost, directory taken); then the older checkpoints stand.
        """
        try:
            manifest = self._seal(staged, step, state, hashed)
            record = self._publish(staged, manifest)
        except OSError as error:
            self.abandon(staged)
            raise explain_write_error(staged, error) from error
        except Exception:
            self.abandon(staged)
            raise
        self._staged.discard(staged)
        self._rotate(step)
        return record

    def abandon(self, staged: Path) -> None:
        """Gives up a staged directory and frees its space, as far as that can be done."""
        self._staged.discard(staged)
        shutil.rmtree(staged, ignore_errors=True)

    def newest(self, changed: ChangedFiles = changed_files) -> Checkpoint | None:
        """Returns the newest checkpoint whose every hash verifies.

        `changed` reads the files: in this process unless the caller spreads the work.
        """
        return self._first(lambda directory, step: verify(directory, step, changed))

    def newest_listed(self) -> Checkpoint | None:
        """Returns the newest checkpoint by its manifest; no other file of it is read."""
        return self._first(read_manifest)

    def count(self) -> int:
        """How many checkpoints are committed; their hashes are not read."""
        return len(self._committed())

    def _committed(self) -> list[tuple[int, Path]]:
        """Step and directory of everything that bears a checkpoint's name, newest first."""
        if not self._root.is_dir():
            return []
        named = ((_NAME.fullmatch(path.name), path) for path in self._root.iterdir())
        return sorted(((int(match[1]), path) for match, path in named if match), reverse=True)

    def _first(self, read: Callable[[Path, int], Manifest]) -> Checkpoint | None:
        """The newest checkpoint that `read` accepts; logs what is wrong with newer ones."""
        for step, directory in self._committed():
            try:
                manifest = read(directory, step)
            except InvalidCheckpoint as problem:
                logger.warning("checkpoint %s is passed over: %s", directory, problem)
                continue
            except PermissionError as error:
                raise ConfigurationError(
                    f"{error.filename}: cannot be read ({error.strerror}); make the output "
                    f"directory readable for user {os.geteuid()}"
                ) from error
            return Checkpoint(self._record(manifest), directory, manifest.state)
        return None

    def _record(self, manifest: Manifest) -> CheckpointRecord:
        path = f"{self._root.name}/{_name(manifest.step)}"
        return CheckpointRecord(step=manifest.step, path=path, time=manifest.time)

    def _seal(
        self, staged: Path, step: int, state: RunState, hashed: Sequence[FileEntry]
    ) -> Manifest:
        """Brings all that the ranks wrote to the disk, the manifest last."""
        files = _all_files(staged, hashed)
        if not files:
            raise ValueError(f"{staged} is empty: the learner wrote nothing to commit")
        self._failpoint("files flushed")
        for directory, _, _ in os.walk(staged, topdown=False):
            fsync_path(Path(directory))
        self._failpoint("directories flushed")
        manifest = Manifest(step=step, time=time.time(), files=files, state=state)
        write_durably(staged / MANIFEST, render(manifest))
        self._failpoint("manifest written")
        return manifest

    def _publish(self, staged: Path, manifest: Manifest) -> CheckpointRecord:
        """Gives the sealed directory its name, unless a whole checkpoint bears it."""
        target = self._root / _name(manifest.step)
        self._still_ours()
        if target.exists():
            try:
                standing = verify(target, manifest.step)
            except InvalidCheckpoint as problem:
                logger.warning("checkpoint %s is replaced: %s", target, problem)
                self._hide(target)
                self._failpoint("broken one hidden")
            else:
                self.abandon(staged)
                return self._record(standing)
        staged.rename(target)
        self._failpoint("renamed")
        fsync_path(self._root)
        self._failpoint("parent flushed")
        return self._record(manifest)

    def _rotate(self, step: int) -> None:
        """Removes all but the newest `keep` checkpoints up to `step`, the one just committed.

        A later one can only be one that did not verify when the run fell back behind it; left
        there it would count as newest.
        """
        committed = self._committed()
        later = [path for number, path in committed if number > step]
        older = [path for number, path in committed if number <= step][self._keep :]
        try:
            for path in (*later, *older):
                self._hide(path)
                self._failpoint("old one hidden")
            self._remove_leftovers()
        except OSError as error:
            logger.warning("old checkpoints in %s could not be removed: %s", self._root, error)
        self._failpoint("rotated")

    def _hide(self, directory: Path) -> None:
        """Renames first, so that a kill while deleting leaves no half checkpoint behind."""
        directory.rename(self._root / f".{directory.name}.old-{uuid.uuid4().hex}")

    def _remove_leftovers(self) -> None:
        """Removes the hidden directories of commits that did not come to their end."""
        for path in self._root.glob(".step-*"):
            if path not in self._staged:
                shutil.rmtree(path, ignore_errors=True)


def _all_files(staged: Path, hashed: Sequence[FileEntry]) -> tuple[FileEntry, ...]:
    """Entries of every file, sorted by path; those that nobody hashed are hashed and fsynced."""
    present = list_files(staged)
    for entry in hashed:
        if (size := (staged / entry.path).stat().st_size) != entry.size:
            raise OSError(f"{staged / entry.path} has {size} bytes, its writer saw {entry.size}")
    known = {Path(entry.path) for entry in hashed}
    rest = describe_files(staged, [path for path in present if path not in known], flush=True)
    return tuple(sorted((*hashed, *rest), key=lambda entry: Path(entry.path)))


def _name(step: int) -> str:
    return f"step-{step:08d}"
