"""Saves and restores the random generators of a process exactly."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seeds every generator of this process."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def save_random_state(path: Path) -> None:
    """Writes the state of every generator of this process."""
    torch.save(_capture(), path)


def load_random_state(path: Path) -> None:
    """Restores every generator to the state that `save_random_state` wrote."""
    _restore(torch.load(path, weights_only=True))


@contextlib.contextmanager
def random_state_kept_on(*errors: type[Exception]) -> Iterator[None]:
    """Restores every generator to its state before the block when that raises one of `errors`."""
    state = _capture()
    try:
        yield
    except errors:
        _restore(state)
        raise


def _capture() -> dict[str, Any]:
    numpy_state = np.random.get_state(legacy=False)
    key = torch.from_numpy(numpy_state["state"]["key"].astype(np.int64))
    return {
        "python": random.getstate(),
        "numpy": {**numpy_state, "state": {**numpy_state["state"], "key": key}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def _restore(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    numpy_state = state["numpy"]
    numpy_state["state"]["key"] = numpy_state["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state(numpy_state)
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])
