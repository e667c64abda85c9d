"""A Ray of our own on this machine, or the one that surrounds us. No other Ray is ever touched."""

import contextlib
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping

import ray

from openrlhf_core.orchestration import ray_reaper
from openrlhf_core.spec.exit_codes import RetryableError

logger = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 500_000_000


@contextlib.contextmanager
def local_ray(resources: Mapping[str, float], num_cpus: int, num_gpus: int) -> Iterator[None]:
    """Runs a Ray on this machine that offers `resources`, and ends all of it on exit.

    `ray_environment.local_ray_environment` must be in place since before Ray was imported. A
    reaper beside this process ends Ray's also when this one is killed.
    """
    # Short: Ray puts its sockets below it, and a socket's path has at most 107 characters.
    directory = tempfile.mkdtemp(prefix="rlhf-", dir="/tmp")
    with reaper(directory):
        try:
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
def reaper(directory: str) -> Iterator[None]:
    """Sees to it that nobody is left with a file open below `directory`, which then goes.

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


@contextlib.contextmanager
def surrounding_ray(address: str) -> Iterator[None]:
    """Joins the Ray at `address` (`auto`: the one around this process); leaves it on exit."""
    try:
        ray.init(address=address, log_to_driver=True, logging_level=logging.WARNING)
    except ConnectionError as error:
        raise RetryableError(f"no Ray answers at {address}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()
