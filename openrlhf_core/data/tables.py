"""Rows of a JSONL, JSON, CSV or Parquet file or a directory of them, and where each row stands."""

import csv
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from openrlhf_core.spec.exit_codes import ConfigurationError

Row = dict[str, Any]
NumberedRows = Iterator[tuple[int, Row]]

SPLIT_NAMES = {"train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval"}


@dataclass(frozen=True)
class TablePart:
    """The rows of one file, with the number of each: its line, or its row from 1."""

    file: str
    unit: str
    numbers: list[int]
    rows: list[Row]


@dataclass(frozen=True)
class Table:
    """Rows of one or more files, in the order of the files' names."""

    parts: tuple[TablePart, ...]

    @property
    def rows(self) -> list[Row]:
        return [row for part in self.parts for row in part.rows]

    def place(self, index: int) -> str:
        """Where row `index` stands, as `data/train.jsonl, line 12`."""
        ends = list(accumulate(len(part.rows) for part in self.parts))
        part_index = bisect_right(ends, index)
        part = self.parts[part_index]
        offset = index - (ends[part_index - 1] if part_index else 0)
        return f"{part.file}, {part.unit} {part.numbers[offset]}"


def read_table(path: Path, subset: str | None, split: str, max_rows: int | None) -> Table:
    """The first `max_rows` rows of a file, or of the files of a directory that fit the split.

    In a directory whose files or folders are named after splits (train, test, ...), those of
    `split` are read, else all of them; `subset` keeps the files or folders that bear its name.
    ConfigurationError names file, line and mend.
    """
    files = _files_of(path, subset, split) if path.is_dir() else [path]
    parts: list[TablePart] = []
    left = max_rows
    for file in files:
        part = _read_file(file, left)
        parts.append(part)
        left = None if left is None else left - len(part.rows)
        if left == 0:
            break
    return Table(tuple(parts))


def _read_file(file: Path, max_rows: int | None) -> TablePart:
    reader, unit = _reader_of(file)
    try:
        numbered = list(islice(reader(file), max_rows))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror or error}") from error
    return TablePart(str(file), unit, [n for n, _ in numbered], [row for _, row in numbered])


def _reader_of(file: Path) -> tuple[Callable[[Path], NumberedRows], str]:
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        raise ConfigurationError(f"{file}: the ending tells no format; it must be one of {known}")
    return reader


def _read_json_lines(file: Path) -> NumberedRows:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _parsed_line(line, file, number)


def _parsed_line(line: str, file: Path, number: int) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{file}, line {number} is not JSON: {error}; mend or delete the line"
        ) from error
    return _checked_row(row, f"{file}, line {number}")


def _checked_row(row: Any, place: str) -> Row:
    if not isinstance(row, dict):
        kind = type(row).__name__
        raise ConfigurationError(f"{place} is a {kind}, not an object; write {{'prompt': ...}}")
    return row


def _read_json(file: Path) -> NumberedRows:
    text = file.read_text(encoding="utf-8-sig")
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            yield from _read_json_lines(file)
            return
        raise ConfigurationError(f"{file} is not JSON: {error}; mend it") from error
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list):
        raise ConfigurationError(f"{file} holds no list of rows; write a list of objects")
    for number, row in enumerate(rows, start=1):
        yield number, _checked_row(row, f"{file}, row {number}")


def _read_csv(file: Path) -> NumberedRows:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise ConfigurationError(
                        f"{file}, line {reader.line_num} does not have the "
                        f"{len(reader.fieldnames or ())} columns of the header; quote commas"
                    )
                yield reader.line_num, dict(row)
        except csv.Error as error:
            raise ConfigurationError(
                f"{file}, line {reader.line_num} is not CSV: {error}; mend the line"
            ) from error


def _read_parquet(file: Path) -> NumberedRows:
    try:
        with pyarrow.parquet.ParquetFile(file) as content:
            number = 0
            for batch in content.iter_batches(batch_size=8192):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except pyarrow.ArrowException as error:
        raise ConfigurationError(f"{file} is not a Parquet file: {error}") from error


READERS: dict[str, tuple[Callable[[Path], NumberedRows], str]] = {
    ".jsonl": (_read_json_lines, "line"),
    ".ndjson": (_read_json_lines, "line"),
    ".json": (_read_json, "row"),
    ".csv": (_read_csv, "line"),
    ".parquet": (_read_parquet, "row"),
}


def _files_of(directory: Path, subset: str | None, split: str) -> list[Path]:
    files = sorted(
        file
        for file in directory.rglob("*")
        if file.suffix.lower() in READERS
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(directory).parts)
    )
    words = {file: _words(file.relative_to(directory)) for file in files}
    if not files:
        raise ConfigurationError(f"{directory} holds no file ending in {', '.join(READERS)}")
    if subset is not None:
        files = [file for file in files if subset.lower() in words[file]]
    if any(words[file] & SPLIT_NAMES for file in files) or split != "train":
        files = [file for file in files if split.lower() in words[file]]
    if not files:
        asked = f"split {split!r}" + (f" of subset {subset!r}" if subset is not None else "")
        raise ConfigurationError(f"{directory} holds no file whose name tells of {asked}")
    return files


def _words(relative: Path) -> set[str]:
    """Names that a relative path bears: its folders, its stem and the stem's words."""
    stem = relative.stem.lower()
    folders = {part.lower() for part in relative.parts[:-1]}
    return folders | {stem} | set(re.split(r"[-_. ]+", stem))
