"""Files that survive a kill: written aside, flushed to the disk, then renamed over the old one.

Called by checkpoint, output and telemetry. An error of the file system becomes a RunError whose
message names the path and the fix.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError, RunError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into a RunError that names the file, or else `path`."""
    try:
        yield
    except OSError as error:
        raise explain_write_error(path, error) from error


def explain_write_error(path: Path, error: OSError, bytes_needed: int | None = None) -> RunError:
    """The RunError that tells a person which write failed, why, and what to do about it."""
    where = error.filename or path
    if error.errno in _FULL:
        return RetryableError(
            f"{where}: the disk is full ({_space(path, bytes_needed)}); free some space or use a "
            "larger volume and run again, it continues from the last committed checkpoint"
        )
    if error.errno == errno.EFBIG:
        return RetryableError(
            f"{where}: the file would be larger than this process may write; raise the limit "
            "(`ulimit -f unlimited`) and run again, it continues from the last checkpoint"
        )
    if error.errno in _FORBIDDEN:
        return ConfigurationError(
            f"{where}: cannot be written ({error.strerror}); make it writable for user "
            f"{os.geteuid()} or choose another output directory"
        )
    return RetryableError(
        f"{where}: writing failed ({error.strerror or error}); check the volume and run again, it "
        "continues from the last committed checkpoint"
    )


def _space(path: Path, bytes_needed: int | None) -> str:
    """How much is free where `path` lies, and how much is needed when that is known."""
    existing = next((place for place in (path, *path.parents) if place.exists()), Path("/"))
    free = f"{shutil.disk_usage(existing).free:,} bytes free"
    return free if bytes_needed is None else f"{free}, {bytes_needed:,} needed"


def fsync_path(path: Path) -> None:
    """Returns once a file's content, or a directory's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, text: str) -> None:
    """Replaces `path` with `text` such that a kill leaves the old file or the new one, whole."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with writing(path):
        try:
            with aside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
        fsync_path(path.parent)
