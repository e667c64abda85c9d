"""The manifest of a checkpoint: which files belong to it, their hashes, and where the run stood.

A directory is a checkpoint when its manifest.json is exactly what `render` writes for the files
that lie there. `read_manifest` checks everything but the content of the files, which is cheap;
`changed_files` compares their hashes, which reads them.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from openrlhf_core.spec.kinds.base import NonNegativeInt, SpecModel

MANIFEST = "manifest.json"
ChangedFiles = Callable[[Path, Sequence["FileEntry"]], Sequence[str]]
"""Names the files of a checkpoint whose content no longer matches their hash."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class InvalidCheckpoint(Exception):
    """A directory is no checkpoint; the message says why. Caught by `CheckpointStore.newest`."""


class RunState(SpecModel):
    """What the driver needs, beside the learner's own files, to continue exactly."""

    data_cursor: NonNegativeInt = Field(description="Prompts taken from the stream so far.")
    policy_version: NonNegativeInt = Field(description="Version of the weights; 0 is untrained.")
    seed: NonNegativeInt = Field(description="training.seed.")
    spec_hash: str = Field(description="Hash of the resolved spec.")
    dataset_fingerprint: str = Field(description="Fingerprint of the prompts and their order.")
    world_size: NonNegativeInt = Field(description="Ranks of the policy's learner.")
    versions: dict[str, str] = Field(description="Versions of the libraries that trained.")


class FileEntry(SpecModel):
    """One file of a checkpoint."""

    path: str = Field(description="Relative to the checkpoint, with forward slashes.")
    size: Annotated[int, Field(ge=0)] = Field(description="Bytes.")
    sha256: Sha256 = Field(description="SHA-256 of the content.")


class Manifest(SpecModel):
    """The content of manifest.json, its digest aside."""

    format: Literal[1] = Field(1, description="Version of this layout.")
    step: NonNegativeInt = Field(description="Step after which the run stood here.")
    time: float = Field(description="When it was committed, Unix seconds.")
    files: tuple[FileEntry, ...] = Field(description="Every file but the manifest.")
    state: RunState = Field(description="Where the run stood.")


def render(manifest: Manifest) -> str:
    """The text of manifest.json; `digest` is the SHA-256 of the rest."""
    body = manifest.model_dump(mode="json", by_alias=True)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return json.dumps({"digest": digest, **body}, indent=1, sort_keys=True) + "\n"


def list_files(directory: Path) -> list[Path]:
    """Every file below, relative and sorted, manifest aside; ValueError at a link or device."""
    return sorted(path for path in _walk(directory, directory) if path != Path(MANIFEST))


def _walk(directory: Path, root: Path) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), root)
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path).relative_to(root)
            else:
                raise ValueError(f"{entry.path} is neither a file nor a directory")


def describe_files(
    directory: Path, paths: Iterable[Path], *, flush: bool = False
) -> tuple[FileEntry, ...]:
    """Size and SHA-256 of files below `directory`, read in several threads.

    `paths` are relative. `flush` also brings each file to the disk (fsync). On a shared volume the
    process that wrote a file must have closed it before: closing sends the content.
    """

    def describe(path: Path) -> FileEntry:
        with (directory / path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if flush:
                os.fsync(file.fileno())
            return FileEntry(path=path.as_posix(), size=file.tell(), sha256=digest)

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return tuple(pool.map(describe, paths))


def changed_files(directory: Path, entries: Sequence[FileEntry]) -> list[str]:
    """Paths of the files that are gone or whose content no longer matches their entry."""
    gone = [entry.path for entry in entries if not (directory / entry.path).exists()]
    present = [entry for entry in entries if entry.path not in gone]
    found = describe_files(directory, [Path(entry.path) for entry in present])
    return gone + [now.path for now, entry in zip(found, present, strict=True) if now != entry]


def verify(directory: Path, step: int, changed: ChangedFiles = changed_files) -> Manifest:
    """Returns the manifest of the checkpoint of `step`; InvalidCheckpoint says what is wrong.

    `changed` reads every file.
    """
    manifest = read_manifest(directory, step)
    if files := changed(directory, manifest.files):
        raise InvalidCheckpoint(f"{files[0]} does not match its hash")
    return manifest


def read_manifest(directory: Path, step: int) -> Manifest:
    """Returns the manifest of the checkpoint of `step`; the files' contents are not read.

    InvalidCheckpoint says what does not fit: the manifest itself, a missing or extra file, a size.
    """
    try:
        manifest = _read(directory / MANIFEST)
        if manifest.step != step:
            raise InvalidCheckpoint(f"its manifest is of step {manifest.step}")
        _compare(manifest, directory)
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise
        raise InvalidCheckpoint(str(error)) from error
    return manifest


def _read(path: Path) -> Manifest:
    if not path.is_file():
        raise InvalidCheckpoint(f"it has no {MANIFEST}: it was never committed")
    content = path.read_bytes()
    try:
        manifest = parse(content)
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        raise InvalidCheckpoint(f"its {MANIFEST} is damaged") from error
    if render(manifest).encode() != content:
        raise InvalidCheckpoint(f"its {MANIFEST} does not match its digest")
    return manifest


def parse(content: bytes) -> Manifest:
    """The manifest that `content` holds, its digest not compared; ValueError when it is none."""
    body = json.loads(content)
    body.pop("digest", None) if isinstance(body, dict) else None
    return Manifest.model_validate_json(json.dumps(body))


def _compare(manifest: Manifest, directory: Path) -> None:
    listed = {entry.path: entry for entry in manifest.files}
    present = {path.as_posix() for path in list_files(directory)}
    if missing := sorted(listed.keys() - present):
        raise InvalidCheckpoint(f"{missing[0]} is missing")
    if unlisted := sorted(present - listed.keys()):
        raise InvalidCheckpoint(f"{unlisted[0]} is not in its {MANIFEST}")
    for path, entry in listed.items():
        size = (directory / path).stat().st_size
        if size != entry.size:
            raise InvalidCheckpoint(f"{path} has {size} bytes, not {entry.size}")
