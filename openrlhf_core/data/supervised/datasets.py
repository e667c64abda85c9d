"""Loads the datasets of a supervised recipe: from rows to stored samples, once.

The samples are kept below the cache's directory, under a name made of all that decides them: a
resumed run, or another with the same data, finds them there.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import tokenizers
import transformers
from huggingface_hub.constants import HF_HOME

from openrlhf_core.data.encoding import tokenizer_digest
from openrlhf_core.data.reading.datasets import DatasetRows, open_dataset
from openrlhf_core.data.reading.rows import BadRow, BadRows
from openrlhf_core.data.sample_stream import SampleDataset
from openrlhf_core.data.supervised.maker import SampleMaker
from openrlhf_core.data.supervised.stored_samples import (
    SampleWriter,
    StoredSamples,
    is_whole,
    new_directory,
)
from openrlhf_core.data.supervised.tokenising import MadeRows, processes_for, tokenise
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.data import DatasetSpec

logger = logging.getLogger(__name__)

S = TypeVar("S")

FORMAT = 1
"""Version of the stored samples and of how they are made; a new one makes them anew."""

OnProgress = Callable[[str, int, int], None]
"""Called with (dataset, rows done, rows in all) while rows are tokenised."""


@dataclass(frozen=True)
class LoadSettings:
    """How datasets are loaded. Made by a recipe."""

    max_length: int
    """Samples are cut to so many tokens."""
    bad_rows: BadRows = "Fail"
    num_processes: int | None = None
    """Processes that tokenise. None: as many as are worth it on this machine."""


def load_samples(
    specs: Sequence[DatasetSpec],
    maker: SampleMaker[S],
    settings: LoadSettings,
    locator: Locator,
    on_progress: OnProgress | None = None,
) -> list[SampleDataset[S]]:
    """The samples of every dataset, tokenised or found in the cache.

    ConfigurationError names file and row of what is wrong, unless bad rows are skipped; or a
    dataset of which no row is left.
    """
    basis = _basis(maker, settings)
    loaded = []
    for spec in specs:
        work = _Work(spec, open_dataset(spec, locator), maker, settings, on_progress)
        digest, num_rows = work.survey(basis)
        directory = _sample_cache(locator) / _cache_key(digest, maker)
        if not is_whole(directory):
            work.tokenise_into(directory, num_rows)
        samples = StoredSamples(directory, maker.sample_type)
        loaded.append(_checked(spec, samples, digest, settings))
    return loaded


@dataclass(frozen=True, eq=False)
class _Work(Generic[S]):
    """The work on one dataset."""

    spec: DatasetSpec
    rows: DatasetRows
    maker: SampleMaker[S]
    settings: LoadSettings
    on_progress: OnProgress | None

    def survey(self, basis: str) -> tuple[str, int]:
        """The digest of rows and settings, and the number of rows."""
        digest, num_rows = hashlib.sha256(basis.encode()), 0
        for row in self.rows:
            if self.settings.bad_rows == "Fail":
                row.row  # noqa: B018 - raises where the row cannot be read
            content = row.content.problem if isinstance(row.content, BadRow) else row.content
            text = json.dumps(content, sort_keys=True, default=repr)
            digest.update(text.encode("utf-8", "replace") + b"\n")
            num_rows += 1
        return digest.hexdigest(), num_rows

    def tokenise_into(self, directory: Path, num_rows: int) -> None:
        """Makes the samples and puts them, whole, where they are looked for."""
        wanted = self.settings.num_processes or processes_for(num_rows)
        made = tokenise(self.maker, self.rows, self.settings.max_length, wanted)
        with new_directory(directory) as staged:
            self._write(made, SampleWriter(staged), num_rows)

    def _write(self, made: Iterable[MadeRows], writer: SampleWriter, num_rows: int) -> None:
        done, num_too_long = 0, 0
        bad: list[tuple[str, str]] = []
        with closing(writer):
            for part in made:
                if part.bad and self.settings.bad_rows == "Fail":
                    place, problem = part.bad[0]
                    raise ConfigurationError(f"{place} {problem}")
                writer.append(part.columns)
                done += part.num_rows
                num_too_long += part.num_too_long
                bad += part.bad
                if self.on_progress is not None:
                    self.on_progress(self.spec.name, done, num_rows)
            writer.finish({"num_too_long": num_too_long, "num_bad": len(bad), "first_bad": bad[:1]})


def _checked(
    spec: DatasetSpec, samples: StoredSamples[S], digest: str, settings: LoadSettings
) -> SampleDataset[S]:
    """The dataset; says which rows are left out, and refuses one of which none is left."""
    too_long, bad = samples.notes["num_too_long"], samples.notes["num_bad"]
    first = " ".join(samples.notes["first_bad"][0]) if bad else ""
    if not len(samples):
        reason = f"the first is {first}" if bad else f"{too_long} are too long, raise the limit"
        raise ConfigurationError(
            f"dataset {spec.name!r} ({spec.source}) has no row that can be used within "
            f"{settings.max_length} tokens: {reason if bad or too_long else 'it is empty'}"
        )
    if too_long or bad:
        logger.warning(
            "dataset=%s samples=%d too_long=%d bad=%d first_bad=%r",
            spec.name,
            len(samples),
            too_long,
            bad,
            first,
        )
    return SampleDataset(spec.name, spec.weight, samples, digest, too_long, bad)


def _basis(maker: SampleMaker[S], settings: LoadSettings) -> str:
    """What decides the samples of a row, besides the row and the time."""
    renderer = maker.renderer
    parts = [
        FORMAT,
        maker.settings,
        renderer.settings,
        settings.max_length,
        settings.bad_rows,
        tokenizer_digest(renderer.tokenizer),
    ]
    return json.dumps(parts, sort_keys=True)


def _cache_key(digest: str, maker: SampleMaker[S]) -> str:
    """Where samples are kept: as the digest, and by the libraries and the time they may show."""
    time = maker.renderer.now.isoformat() if maker.renderer.shows_time else ""
    versions = [digest, time, transformers.__version__, tokenizers.__version__]
    return hashlib.sha256(json.dumps(versions).encode()).hexdigest()[:32]


def _sample_cache(locator: Locator) -> Path:
    return (locator.cache or Path(HF_HOME)) / "samples"
