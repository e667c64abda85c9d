"""Samples in files: columns of plain numbers that are mapped into memory, not read.

A directory holds, for each field of the sample's type, its values laid end to end and, for
arrays, where each sample's part ends; `samples.json` is written last. However many samples there
are, only those that are asked for are read.
"""

import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar, overload

import numpy as np

from openrlhf_core.spec.exit_codes import ConfigurationError

S = TypeVar("S")

INDEX_FILE = "samples.json"


@dataclass(frozen=True, eq=False)
class Columns:
    """The samples of some rows, field by field. Made by `to_columns`, cheap to send.

    Example: two SFTSamples -> values {"token_ids": [7, 8, 9, 7], ...}, lengths {"token_ids":
    [3, 1], ...}. A field that is one number a sample has no lengths.
    """

    num_samples: int
    values: dict[str, np.ndarray]
    lengths: dict[str, np.ndarray]


def to_columns(samples: Sequence[Any]) -> Columns:
    """The samples, all of one type, field by field."""
    values, lengths = {}, {}
    for name in [field.name for field in fields(samples[0])] if samples else []:
        found = [getattr(sample, name) for sample in samples]
        if found[0] is None:  # a field that is filled in later
            continue
        if isinstance(found[0], np.ndarray):
            values[name] = np.concatenate(found)
            lengths[name] = np.asarray([len(part) for part in found], dtype=np.int64)
        else:
            values[name] = np.asarray(found)
    return Columns(len(samples), values, lengths)


def is_whole(directory: Path) -> bool:
    """Whether a directory holds samples, all files of the size that they were written with."""
    try:
        sizes = json.loads((directory / INDEX_FILE).read_text())["sizes"]
        return all((directory / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """A directory to write in, which becomes `target` in the end, or is deleted on an error.

    Several processes may make the same target: the last one to end takes the place of the others.
    """
    staged = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
    try:
        staged.mkdir(parents=True)
        yield staged
        old = target.with_name(f"{staged.name}.old")
        if target.exists():
            target.rename(old)
        staged.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(
            f"{target.parent}: cannot keep tokenised data there: {error}; set the cache of "
            "storage, or HF_HOME, to a directory with room"
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


class SampleWriter:
    """Appends columns to the files of a directory; `finish` makes them whole."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, BinaryIO] = {}
        self._types: dict[str, str] = {}
        self._ends: dict[str, int] = {}
        self._num_samples = 0
        self._stack = ExitStack()

    def append(self, columns: Columns) -> None:
        """Writes the columns behind those that are there."""
        self._num_samples += columns.num_samples
        for name, values in columns.values.items():
            self._types[name] = values.dtype.str
            self._file(name).write(values.tobytes())
        for name, lengths in columns.lengths.items():
            ends = self._ends.get(name, 0) + np.cumsum(lengths)
            self._ends[name] = int(ends[-1])
            self._file(f"{name}.ends").write(ends.tobytes())

    def finish(self, notes: dict[str, Any]) -> None:
        """Closes the files and writes the index, with `notes` for whoever opens them again."""
        self._stack.close()
        sizes = {file.name: file.stat().st_size for file in self._directory.iterdir()}
        index = {
            "num_samples": self._num_samples,
            "types": self._types,
            "sizes": sizes,
            "notes": notes,
        }
        (self._directory / INDEX_FILE).write_text(json.dumps(index))

    def close(self) -> None:
        """Closes the files as they are."""
        self._stack.close()

    def _file(self, name: str) -> BinaryIO:
        if name not in self._files:
            file = (self._directory / name).open("wb")
            self._files[name] = self._stack.enter_context(file)
        return self._files[name]


class StoredSamples(Sequence[S], Generic[S]):
    """The samples of a directory that `SampleWriter` wrote."""

    def __init__(self, directory: Path, sample_type: type[S]) -> None:
        index = json.loads((directory / INDEX_FILE).read_text())
        self._make: Any = sample_type
        self._num_samples = int(index["num_samples"])
        self.notes: dict[str, Any] = index["notes"]
        self._values: dict[str, np.ndarray] = {}
        self._ends: dict[str, np.ndarray] = {}
        for name, kind in index["types"].items():
            self._values[name] = _mapped(directory / name, np.dtype(kind))
            ends = directory / f"{name}.ends"
            if ends.exists():
                self._ends[name] = _mapped(ends, np.dtype(np.int64))

    def __len__(self) -> int:
        return self._num_samples

    @overload
    def __getitem__(self, index: int) -> S: ...
    @overload
    def __getitem__(self, index: slice) -> list[S]: ...
    def __getitem__(self, index: int | slice) -> S | list[S]:
        if isinstance(index, slice):
            return [self._sample(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self._sample(index % len(self))

    def __iter__(self) -> Iterator[S]:
        return (self._sample(i) for i in range(len(self)))

    def lengths(self, name: str) -> np.ndarray:
        """How long a field's array is in each sample, int64 [samples]."""
        return np.diff(self._ends[name], prepend=0)

    def _sample(self, index: int) -> S:
        values = {name: self._part(name, index) for name in self._values}
        sample: S = self._make(**values)
        return sample

    def _part(self, name: str, index: int) -> Any:
        values, ends = self._values[name], self._ends.get(name)
        if ends is None:
            return values[index].item()
        start = int(ends[index - 1]) if index else 0
        return np.array(values[start : int(ends[index])])


def _mapped(file: Path, kind: np.dtype[Any]) -> np.ndarray:
    """The numbers in a file; an empty file cannot be mapped."""
    if not file.stat().st_size:
        return np.zeros(0, dtype=kind)
    return np.memmap(file, dtype=kind, mode="r")
