"""Who may write an output directory: the living process, or on a cluster the newest attempt.

A lock of the operating system goes with the process that holds it, so a killed run leaves none. On
a cluster attempts run on different nodes; there a lease file names the attempt that writes, and an
older attempt learns from it that it must stop.
"""

import errno
import fcntl
import logging
import os
import socket
import uuid
from pathlib import Path
from typing import Protocol

from pydantic import Field, ValidationError

from openrlhf_core.durable import write_durably, writing
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError
from openrlhf_core.spec.kinds.base import PositiveInt, SpecModel

logger = logging.getLogger(__name__)

LOCK_FILE = ".lock"
LEASE_FILE = "attempt.json"


class Holder(Protocol):
    """The right to write an output directory."""

    def still_ours(self) -> None:
        """Raises RetryableError when another attempt has taken the directory."""

    def release(self) -> None:
        """Lets another run have the directory at once."""


class DirectoryLock:
    """Held by this process until it ends, however it ends; children do not inherit it."""

    def __init__(self, output: Path) -> None:
        path = output / LOCK_FILE
        with writing(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._lock(output)
        except BaseException:
            self.release()
            raise
        os.register_at_fork(after_in_child=self.release)

    def _lock(self, output: Path) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise self._explain(output, error) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{_who()}\n".encode(), 0)

    def _explain(self, output: Path, error: OSError) -> ConfigurationError:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return ConfigurationError(
                f"{output}: its file system offers no locks ({error.strerror}), so two runs could "
                "write there at once; choose an output directory on another one"
            )
        owner = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip()
        return ConfigurationError(
            f"{output}: another run is writing there ({owner or 'just started'}); wait until it "
            "ends, stop it, or choose another output directory"
        )

    def still_ours(self) -> None:
        """A lock cannot be taken away."""

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Lease(SpecModel):
    """The content of attempt.json."""

    job_uid: str = Field(description="Kubernetes uid of the job.")
    attempt: PositiveInt = Field(description="Attempt that writes the directory.")
    holder: str = Field(description="Host, process and a random number: unlike in each process.")


class AttemptLease:
    """Held until a higher attempt of the job, or another job, takes the directory."""

    def __init__(self, output: Path, attempt: int, job_uid: str) -> None:
        self._path = output / LEASE_FILE
        self._lease = Lease(job_uid=job_uid, attempt=attempt, holder=f"{_who()} {uuid.uuid4().hex}")
        standing = self._read()
        if standing is not None and standing.job_uid == job_uid and standing.attempt > attempt:
            raise self._taken(standing)
        if standing is not None:
            logger.info("attempt %s takes %s from %s", attempt, output, standing)
        write_durably(self._path, self._lease.model_dump_json(by_alias=True) + "\n")
        self.still_ours()

    def _read(self) -> Lease | None:
        """The lease that stands; None when there is none or it cannot be understood."""
        try:
            return Lease.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            logger.warning("%s is damaged and is written anew", self._path)
            return None
        except OSError as error:
            raise RetryableError(
                f"{self._path}: cannot be read ({error.strerror}), so it is not known which "
                "attempt may write; check the volume"
            ) from error

    def _taken(self, standing: Lease | None) -> RetryableError:
        by = "somebody" if standing is None else f"attempt {standing.attempt} ({standing.holder})"
        return RetryableError(
            f"{self._path.parent}: {by} has taken the output directory; "
            f"attempt {self._lease.attempt} writes no more"
        )

    def still_ours(self) -> None:
        standing = self._read()
        if standing != self._lease:
            raise self._taken(standing)

    def release(self) -> None:
        """The lease stays: a late older attempt must still find it."""


def _who() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"
