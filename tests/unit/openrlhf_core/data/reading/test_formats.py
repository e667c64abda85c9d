"""Rows of single files: every format, its row numbers, and what is said of a row that is wrong."""

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from openrlhf_core.data.reading.formats import read_file
from openrlhf_core.data.reading.rows import BadRow, PlacedRow
from openrlhf_core.spec.exit_codes import ConfigurationError

LINES = b'{"prompt": "x"}\n\n{"prompt": "y", "n": 2}\n'


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(file: Path) -> list[PlacedRow]:
    return list(read_file(file))


def rows_of(file: Path) -> list[dict]:
    return [row.row for row in read(file)]


def test_json_lines_keep_their_line_numbers(tmp_path: Path):
    file = write(tmp_path / "a.jsonl", LINES)
    assert rows_of(file) == [{"prompt": "x"}, {"prompt": "y", "n": 2}]
    assert read(file)[1].place == f"{file}, line 3"


def test_text_may_be_compressed(tmp_path: Path):
    write(tmp_path / "a.jsonl.gz", gzip.compress(LINES[:10]) + gzip.compress(LINES[10:]))
    with pyarrow.output_stream(tmp_path / "a.ndjson.zst", compression="zstd") as stream:
        stream.write(LINES)
    write(tmp_path / "a.csv.gz", gzip.compress(b"prompt\nx\ny\n"))
    assert read(tmp_path / "a.jsonl.gz")[1].number == read(tmp_path / "a.ndjson.zst")[1].number == 3
    assert rows_of(tmp_path / "a.csv.gz") == [{"prompt": "x"}, {"prompt": "y"}]


def test_json_is_a_list_of_objects_or_lines_of_them(tmp_path: Path):
    rows = [{"prompt": "x"}, {"prompt": "y"}]
    assert rows_of(write(tmp_path / "a.json", json.dumps(rows, indent=1))) == rows
    assert rows_of(write(tmp_path / "b.json", "\n".join(map(json.dumps, rows)))) == rows
    assert rows_of(write(tmp_path / "c.json", json.dumps(rows[0]))) == rows[:1]


def test_a_csv_row_has_the_number_of_its_first_line(tmp_path: Path):
    file = write(tmp_path / "a.csv", '\nprompt,label\n"a, b\nc",1\n\nd,2\n')
    assert rows_of(file) == [{"prompt": "a, b\nc", "label": "1"}, {"prompt": "d", "label": "2"}]
    assert [row.number for row in read(file)] == [3, 6]


def test_a_csv_field_may_be_as_long_as_it_likes(tmp_path: Path):
    # The csv module stops at 131,072 characters unless it is told otherwise.
    file = write(tmp_path / "a.csv", f"prompt,label\nab,1\n{'x' * 400_000},2\ncd\n")
    assert [len(row.row["prompt"]) for row in read(file)[:2]] == [2, 400_000]
    assert read(file)[2].place == f"{file}, line 4"


def test_parquet_and_both_kinds_of_arrow_files_keep_lists_of_messages(tmp_path: Path):
    rows = [{"prompt": [{"role": "user", "content": "hi"}], "n": i} for i in range(5000)]
    table = pyarrow.Table.from_pylist(rows)
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pyarrow.ipc.new_file(tmp_path / "file.arrow", table.schema) as writer:
        writer.write_table(table)
    with pyarrow.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as writer:
        writer.write_table(table)
    for name in ("a.parquet", "file.arrow", "stream.arrow"):
        assert rows_of(tmp_path / name) == rows
        assert read(tmp_path / name)[4999].place.endswith(f"{name}, row 5000")


def test_an_arrow_map_is_an_object(tmp_path: Path):
    kind = pyarrow.map_(pyarrow.string(), pyarrow.int64())
    table = pyarrow.table({"counts": pyarrow.array([[("a", 1), ("b", 2)]], kind)})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert rows_of(tmp_path / "a.parquet") == [{"counts": {"a": 1, "b": 2}}]


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path):
    assert rows_of(write(tmp_path / "a.jsonl", '\ufeff{"prompt": "x"}\n')) == [{"prompt": "x"}]
    assert rows_of(write(tmp_path / "a.json", '\ufeff[{"prompt": "x"}]')) == [{"prompt": "x"}]
    assert rows_of(write(tmp_path / "a.csv", "\ufeffprompt\nx\n")) == [{"prompt": "x"}]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"prompt": "x"}\n{"prompt": \n', "line 2 is not JSON"),
        ("a.jsonl", b"\n[1]\n", "line 2 is a list, not an object"),
        ("a.jsonl", b"\n" + b"[" * 100_000, "line 2 is not JSON"),
        ("a.jsonl", b'{"prompt": "x"}\n{"prompt": "\xff"}\n', "line 2 is not UTF-8"),
        ("a.json", b'[{}, "x"]', "row 2 is a str, not an object"),
        ("a.csv", b"prompt,label\nx\n", "line 2 does not have the 2 columns"),
        ("a.csv", b"prompt\nx,y\n", "line 2 does not have the 1 columns"),
        ("a.csv", b'prompt\n"x\n', "line 2 is not CSV"),
        ("a.csv", b'prompt\n"x"y\n', "line 2 is not CSV"),
        ("a.csv", b"prompt\n\xff\n", "line 2 is not UTF-8"),
    ],
)
def test_a_wrong_row_is_named_with_its_place(tmp_path: Path, name: str, content: bytes, words: str):
    file = write(tmp_path / name, content)
    (bad,) = (row for row in read(file) if isinstance(row.content, BadRow))
    with pytest.raises(ConfigurationError, match=words) as raised:
        _ = bad.row
    assert str(file) in str(raised.value)


def test_rows_behind_a_wrong_one_are_read(tmp_path: Path):
    lines = write(tmp_path / "a.jsonl", b'not\n{"prompt": "x"}\n')
    table = write(tmp_path / "a.csv", b'prompt,n\nq\n"a"b,1\n\xff,1\nx,2\n')
    assert read(lines)[1].row == {"prompt": "x"}
    assert [row.number for row in read(table)] == [2, 3, 4, 5]
    assert read(table)[3].row == {"prompt": "x", "n": "2"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", b"{", "is not JSON"),
        ("a.json", b"3", "no list of rows"),
        ("a.json", b'["\xff"]', "is not UTF-8"),
        ("a.csv", b"prompt,prompt\nx,y\n", "names the column 'prompt' twice"),
        ("a.parquet", b"no parquet", "cannot be read: Parquet magic bytes"),
        ("a.arrow", b"no arrow", "cannot be read"),
        ("a.arrow", b"", "cannot be read"),
        ("a.jsonl.gz", b"no gzip", "cannot be read: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(LINES)[:-9], "cannot be read: Compressed file ended"),
        ("a.jsonl.zst", b"no zstd", "cannot be read: ZSTD"),
        ("a.parquet.gz", b"", "names no format"),
        ("a.yaml", b"prompt: x", "names no format; use one of .jsonl"),
        ("a", b"prompt: x", "names no format"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, words: str):
    file = write(tmp_path / name, content)
    with pytest.raises(ConfigurationError, match=words) as raised:
        read(file)
    assert str(file) in str(raised.value)


def test_a_file_that_is_not_there_says_so(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"a.jsonl cannot be read: No such file"):
        read(tmp_path / "a.jsonl")
