"""A Ray of our own on this machine, or the one that surrounds us. No other Ray is ever touched."""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import ray

from openrlhf_core.spec.errors import RetryableError

logger = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 500_000_000
TEMPORARY_PREFIX = "rlhf-"


@contextlib.contextmanager
def local_ray(resources: Mapping[str, float], num_cpus: int, num_gpus: int) -> Iterator[None]:
    """Runs a Ray on this machine that offers `resources`, and ends all of it on exit.

    `ray_environment.local_ray_environment` must be in place since before Ray was imported. Ray ends
    its processes itself when this process is killed.
    """
    remove_abandoned_directories()
    directory = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}{os.getpid()}-", dir="/tmp"))
    try:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            resources=dict(resources),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(directory),
            log_to_driver=True,
            logging_level=logging.WARNING,
        )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(directory, ignore_errors=True)


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


def remove_abandoned_directories() -> None:
    """Removes the temporary directories of runs that were killed before they could."""
    for directory in Path("/tmp").glob(f"{TEMPORARY_PREFIX}[0-9]*-*"):
        owner = directory.name.removeprefix(TEMPORARY_PREFIX).split("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(directory, ignore_errors=True)
