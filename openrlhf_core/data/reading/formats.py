"""Reads one file of rows: JSONL, JSON, CSV, Parquet or Arrow; text also as gzip or Zstandard.

A reader yields (number, row) pairs. A row that cannot be read is yielded as a `BadRow`, so that
the caller decides whether it ends the run; a file that cannot be read is a ConfigurationError.
"""

import csv
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

from openrlhf_core.data.reading.compression import COMPRESSIONS, open_binary
from openrlhf_core.data.reading.rows import BadRow, PlacedRow, Row
from openrlhf_core.spec.exit_codes import ConfigurationError

NumberedRows = Iterator[tuple[int, Row | BadRow]]
Unit = Literal["line", "row"]

ROWS_AT_ONCE = 4096
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_file(file: Path) -> Iterator[PlacedRow]:
    """The rows of a file, in order. The name's ending says which format it has."""
    reader, unit = READERS[format_of(file)]
    name = str(file)
    try:
        for number, content in reader(file):
            yield PlacedRow(name, unit, number, content)
    except (OSError, EOFError, zlib.error, pyarrow.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ConfigurationError(f"{file} cannot be read: {reason}") from error


def format_of(file: Path) -> str:
    """The ending that names a file's format, as `.jsonl` for `rows.jsonl.gz`."""
    ending = _ending(file)
    if ending is None:
        known = ", ".join(READERS)
        zipped = " or ".join(COMPRESSIONS)
        raise ConfigurationError(
            f"{file}: the ending names no format; use one of {known} (text also with {zipped})"
        )
    return ending


def has_format(file: Path) -> bool:
    """Whether a file's ending names a format that we read."""
    return _ending(file) is not None


def _ending(file: Path) -> str | None:
    endings = [ending.lower() for ending in file.suffixes]
    if endings[-1:] and endings[-1] in COMPRESSIONS:
        return endings[-2] if endings[-2:-1] and endings[-2] in TEXT_FORMATS else None
    return endings[-1] if endings and endings[-1] in READERS else None


def _read_json_lines(file: Path) -> NumberedRows:
    with open_binary(file) as lines:
        for number, line in enumerate(lines, start=1):
            text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            if text.strip():
                yield number, _parsed_line(text)


def _parsed_line(line: bytes) -> Row | BadRow:
    try:
        return _checked_row(json.loads(line.decode("utf-8")))
    except UnicodeDecodeError:
        return BadRow("is not UTF-8 text; save the file as UTF-8")
    except (ValueError, RecursionError) as error:
        return BadRow(f"is not JSON: {error}; fix or delete the line")


def _checked_row(row: Any) -> Row | BadRow:
    if isinstance(row, dict):
        return row
    return BadRow(f"is a {type(row).__name__}, not an object; write {{'prompt': ...}}")


def _read_json(file: Path) -> NumberedRows:
    with open_binary(file) as content:
        data = content.read().removeprefix(BYTE_ORDER_MARK)
    try:
        rows = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not UTF-8 text; save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            yield from _read_json_lines(file)
            return
        raise ConfigurationError(f"{file} is not JSON: {error}; fix it") from error
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list):
        raise ConfigurationError(f"{file} holds no list of rows; write a list of objects")
    for number, row in enumerate(rows, start=1):
        yield number, _checked_row(row)


def _read_csv(file: Path) -> NumberedRows:
    """Rows by the header of the first line. Bytes that are not UTF-8 come through as surrogates,
    which no UTF-8 text holds, so that the row with them is known."""
    csv.field_size_limit(sys.maxsize)  # the csv module refuses fields over 131,072 characters
    with open_binary(file) as content:
        lines = io.TextIOWrapper(content, "utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(lines, strict=True)
        header: list[str] | None = None
        while True:
            number = reader.line_num + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                yield number, BadRow(f"is not CSV: {error}; fix the line")
                continue
            if fields is None:
                return
            if header is None and fields:
                header = _checked_header(fields, file)
            elif header is not None and fields:
                yield number, _csv_row(header, fields)


def _checked_header(fields: list[str], file: Path) -> list[str]:
    doubles = sorted({name for name in fields if fields.count(name) > 1})
    if doubles:
        raise ConfigurationError(
            f"{file}: the header names the column {doubles[0]!r} twice; rename one"
        )
    return fields


def _csv_row(header: list[str], fields: list[str]) -> Row | BadRow:
    if len(fields) != len(header):
        return BadRow(
            f"does not have the {len(header)} columns of the header but {len(fields)}; quote commas"
        )
    try:
        "".join(fields).encode("utf-8")
    except UnicodeEncodeError:
        return BadRow("is not UTF-8 text; save the file as UTF-8")
    return dict(zip(header, fields, strict=True))


def _read_parquet(file: Path) -> NumberedRows:
    with pyarrow.parquet.ParquetFile(file) as content:
        yield from numbered(content.iter_batches(batch_size=ROWS_AT_ONCE))


def _read_arrow(file: Path) -> NumberedRows:
    """An Arrow file of either kind: with a footer (`open_file`), or a plain stream."""
    with pyarrow.memory_map(str(file)) as content:
        try:
            reader = pyarrow.ipc.open_file(content)
        except pyarrow.ArrowInvalid:
            content.seek(0)
            yield from numbered(pyarrow.ipc.open_stream(content))
            return
        yield from numbered(reader.get_batch(i) for i in range(reader.num_record_batches))


def numbered(batches: Any) -> NumberedRows:
    """The rows of Arrow record batches, numbered from 1; Arrow maps become objects."""
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, ROWS_AT_ONCE):
            rows = batch.slice(start, ROWS_AT_ONCE).to_pylist(maps_as_pydicts="lossy")
            for row in rows:
                number += 1
                yield number, row


READERS: dict[str, tuple[Callable[[Path], NumberedRows], Unit]] = {
    ".jsonl": (_read_json_lines, "line"),
    ".ndjson": (_read_json_lines, "line"),
    ".json": (_read_json, "row"),
    ".csv": (_read_csv, "line"),
    ".parquet": (_read_parquet, "row"),
    ".arrow": (_read_arrow, "row"),
}
TEXT_FORMATS = (".jsonl", ".ndjson", ".json", ".csv")
