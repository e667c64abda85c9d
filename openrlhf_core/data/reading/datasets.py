"""Opens a dataset of the manifest: finds its files and reads their rows in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from openrlhf_core.data.reading.dataset_files import files_of_directory, files_of_pattern
from openrlhf_core.data.reading.formats import read_file
from openrlhf_core.data.reading.hub_datasets import is_saved_dataset, read_hub_dataset
from openrlhf_core.data.reading.rows import PlacedRow
from openrlhf_core.sources import Locator
from openrlhf_core.spec.kinds.data import DatasetSpec
from openrlhf_core.spec.kinds.sources import parse_source


@dataclass(frozen=True)
class DatasetRows:
    """The rows of one dataset. Each iteration reads the files anew, a few thousand rows at once.

    Made by `open_dataset`, read by the makers of prompts and samples.
    """

    path: Path
    """A file, or a directory."""
    pattern: str | None
    """Which files of the directory, as `part-*.jsonl`. None: those of subset and split."""
    is_hub_dataset: bool
    """Whether the directory is a dataset of the hub, or one that `datasets` saved."""
    subset: str | None
    split: str
    max_rows: int | None
    """Only the first so many rows. None: all."""
    cache: Path | None
    """Where `datasets` may put its Arrow files."""

    def __iter__(self) -> Iterator[PlacedRow]:
        return islice(self._all_rows(), self.max_rows)

    def _all_rows(self) -> Iterator[PlacedRow]:
        if self.is_hub_dataset:
            return read_hub_dataset(self.path, self.subset, self.split, self.cache)
        return chain.from_iterable(map(read_file, self._files()))

    def _files(self) -> list[Path]:
        if self.pattern is not None:
            return files_of_pattern(self.path, self.pattern)
        if self.path.is_dir():
            return files_of_directory(self.path, self.subset, self.split)
        return [self.path]


def open_dataset(spec: DatasetSpec, locator: Locator) -> DatasetRows:
    """Finds a dataset, downloading what is remote. ConfigurationError when it is not there."""
    path, pattern = locator.locate_data(spec.source)
    is_from_hub = parse_source(spec.source, "data").scheme == "hf"
    is_saved = pattern is None and path.is_dir() and is_saved_dataset(path)
    return DatasetRows(
        path=path,
        pattern=pattern,
        is_hub_dataset=is_from_hub or is_saved,
        subset=spec.subset,
        split=spec.split,
        max_rows=spec.max_samples,
        cache=locator.cache,
    )
