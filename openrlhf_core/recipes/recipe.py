"""What every recipe offers to a run.

`recipes/table.py` names a `Prepare` for each recipe. A run calls it before any device is taken,
then `Prepared.start`, then the methods of the Session in the order in which they stand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from openrlhf_core.checkpoint import Checkpoint
from openrlhf_core.checkpoint_manifest import FileEntry
from openrlhf_core.data.prompt_datasets import OnProgress
from openrlhf_core.recipes.run.journal import Journal
from openrlhf_core.sources import Locator
from openrlhf_core.spec.planning.resolve import ResolvedTraining
from openrlhf_core.spec.run_config import RunConfig
from openrlhf_core.stop import StopFlag


@dataclass(frozen=True)
class RunInputs:
    """What a recipe prepares a run from."""

    config: RunConfig
    resolved: ResolvedTraining
    """The same training spec with nothing left open."""
    began: datetime
    """When the run began: what a chat template gets that asks for the date, in every attempt."""
    locator: Locator
    """Finds models, data and code on this machine."""
    on_progress: OnProgress
    """Hears how many rows of which dataset are read."""


class Session(Protocol):
    """The processes of a run, from their start to its end."""

    def changed_files(self, directory: Path, entries: Sequence[FileEntry]) -> list[str]:
        """Names the files of a checkpoint that no longer match their hash.

        The ranks read them in parallel.
        """

    def load(self, found: Checkpoint | None, journal: Journal) -> None:
        """Loads every model, the trained ones from `found`.

        Calls `journal.trust_weights` once the learners hold the weights of `journal.state`.
        """

    def step(self, journal: Journal) -> None:
        """Does one step and finishes its row."""

    def save(self, directory: Path) -> list[FileEntry]:
        """Writes what resumes each trained role, and the model, into a staged checkpoint.

        Returns the files with their hashes, fsynced.
        """

    def leave_work(self) -> None:
        """Abandons the step under way and frees the devices, so that only `save` may follow."""


class Prepared(Protocol):
    """A run whose data is read; no device is taken yet."""

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""

    @property
    def dataset_fingerprint(self) -> str:
        """Hash of the training data and its order; a checkpoint of other data is refused."""

    def start(self, stop: StopFlag) -> Session:
        """Reserves the devices of the plan and starts a process for each rank and engine."""


Prepare = Callable[[RunInputs], Prepared]
"""Reads tokenizer and data and fixes every number; ConfigurationError says what is wrong."""
