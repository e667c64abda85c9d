"""Starts a Ray of our own on this machine, or joins a named one. No other Ray is ever touched."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ray

from openrlhf_core.orchestration import ray_reaper
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError

logger = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 500_000_000
SHARED_DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm")
"""Where temporary files go when TMPDIR is not set."""
LONGEST_TEMPORARY = 30
"""Characters: Ray appends 77, and the path of a socket has at most 107."""


@contextlib.contextmanager
def local_ray(resources: Mapping[str, float], num_cpus: int, num_gpus: int) -> Iterator[None]:
    """Runs a Ray on this machine that offers `resources`, and ends all of it on exit.

    `ray_environment.local_ray_environment` must be in place since before Ray was imported. A
    reaper beside this process ends Ray's also when this one is killed.
    """
    directory = make_temporary_directory(os.environ.get("TMPDIR"))
    with reaper(directory):
        try:
            with starting_workers_in(directory):
                ray.init(
                    address="local",
                    num_cpus=num_cpus,
                    num_gpus=num_gpus,
                    resources=dict(resources),
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    _temp_dir=directory,
                    log_to_driver=True,
                    logging_level=logging.WARNING,
                )
        except Exception as error:  # Ray has no type of its own for processes that are too slow.
            raise RetryableError(f"Ray did not start on this machine: {error}") from error
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def surrounding_ray(address: str) -> Iterator[None]:
    """Joins the Ray at `address` (`auto`: the one around this process); leaves it on exit."""
    try:
        with tempfile.TemporaryDirectory() as empty, starting_workers_in(empty):
            ray.init(address=address, log_to_driver=True, logging_level=logging.WARNING)
    except ConnectionError as error:
        raise RetryableError(f"no Ray answers at {address}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def make_temporary_directory(tmpdir: str | None, shared: Sequence[str] = SHARED_DIRECTORIES) -> str:
    """Makes a directory for Ray's files in TMPDIR, or in the first shared one that can be written.

    ConfigurationError when there is none.
    """
    refusals = []
    for parent in [tmpdir] if tmpdir else shared:
        if len(os.path.abspath(parent)) > LONGEST_TEMPORARY:
            refusals.append(f"{parent} has more than {LONGEST_TEMPORARY} characters")
            continue
        try:
            return tempfile.mkdtemp(prefix="rlhf-", dir=os.path.abspath(parent))
        except OSError as error:
            refusals.append(f"{parent}: {error.strerror}")
    raise ConfigurationError(
        f"no directory for temporary files ({'; '.join(refusals)}); set TMPDIR to a directory that "
        f"can be written and whose path has at most {LONGEST_TEMPORARY} characters"
    )


@contextlib.contextmanager
def starting_workers_in(directory: str) -> Iterator[None]:
    """Lets Ray start its processes, and find modules for them, away from the user's directory.

    Ray puts the working directory first on the search path of every worker, where a folder `vllm`
    or a file statistics.py of the user's would replace a package. Its processes also inherit that
    the signals of a closed terminal and of Slurm are blocked: these go to every process, and only
    this program answers them.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1})
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@contextlib.contextmanager
def reaper(directory: str) -> Iterator[None]:
    """Ends every process that still has a file open below `directory`, then deletes that.

    The reaper waits for the end of this process or of the block, whichever comes first.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", ray_reaper.__file__, directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.communicate()
