"""Rows of files and directories, and what is said of a row that is wrong."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from openrlhf_core.data.tables import Table, read_table
from openrlhf_core.spec.exit_codes import ConfigurationError


def read(path: Path, subset: str | None = None, split: str = "train", max_rows: int | None = None):
    return read_table(path, subset, split, max_rows)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def prompts(table: Table) -> list[str]:
    return [row["prompt"] for row in table.rows]


def test_json_lines_keep_their_line_numbers(tmp_path: Path):
    file = write(tmp_path / "a.jsonl", '{"prompt": "x"}\n\n{"prompt": "y", "n": 2}\n')
    table = read(file)
    assert table.rows == [{"prompt": "x"}, {"prompt": "y", "n": 2}]
    assert table.place(1) == f"{file}, line 3"


def test_json_is_a_list_of_objects_or_lines_of_them(tmp_path: Path):
    rows = [{"prompt": "x"}, {"prompt": "y"}]
    assert read(write(tmp_path / "a.json", json.dumps(rows, indent=1))).rows == rows
    assert read(write(tmp_path / "b.json", "\n".join(map(json.dumps, rows)))).rows == rows
    assert read(write(tmp_path / "c.json", json.dumps(rows[0]))).rows == rows[:1]


def test_csv_reads_quoted_commas_and_newlines(tmp_path: Path):
    file = write(tmp_path / "a.csv", 'prompt,label\n"a, b\nc",1\nd,2\n')
    table = read(file)
    assert table.rows == [{"prompt": "a, b\nc", "label": "1"}, {"prompt": "d", "label": "2"}]
    assert table.place(1) == f"{file}, line 4"


def test_parquet_keeps_lists_of_messages(tmp_path: Path):
    rows = [{"prompt": [{"role": "user", "content": "hi"}], "n": 1}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    table = read(tmp_path / "a.parquet")
    assert table.rows == rows
    assert table.place(0).endswith("a.parquet, row 1")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path):
    assert read(write(tmp_path / "a.jsonl", '\ufeff{"prompt": "x"}\n')).rows == [{"prompt": "x"}]
    assert read(write(tmp_path / "a.csv", "\ufeffprompt\nx\n")).rows == [{"prompt": "x"}]


def test_max_rows_reads_no_further(tmp_path: Path):
    file = write(tmp_path / "a.jsonl", '{"prompt": "x"}\n{"prompt": "y"}\nnot read\n')
    assert prompts(read(file, max_rows=2)) == ["x", "y"]


def test_a_directory_is_its_files_in_the_order_of_their_names(tmp_path: Path):
    write(tmp_path / "2.csv", "prompt\nc\n")
    write(tmp_path / "1.jsonl", '{"prompt": "a"}\n{"prompt": "b"}\n')
    write(tmp_path / "notes.txt", "no rows")
    write(tmp_path / ".hidden" / "0.jsonl", "no rows")
    table = read(tmp_path)
    assert prompts(table) == ["a", "b", "c"]
    assert table.place(2) == f"{tmp_path / '2.csv'}, line 2"
    assert prompts(read(tmp_path, max_rows=1)) == ["a"]


def test_names_of_splits_choose_the_files_of_a_directory(tmp_path: Path):
    write(tmp_path / "data" / "train-00000-of-00001.jsonl", '{"prompt": "train"}\n')
    write(tmp_path / "data" / "test-00000-of-00001.jsonl", '{"prompt": "test"}\n')
    assert prompts(read(tmp_path)) == ["train"]
    assert prompts(read(tmp_path, split="test")) == ["test"]
    with pytest.raises(ConfigurationError, match="split 'dev'"):
        read(tmp_path, split="dev")


def test_a_split_that_no_file_bears_is_an_error_but_train(tmp_path: Path):
    write(tmp_path / "rows.jsonl", '{"prompt": "x"}\n')
    assert prompts(read(tmp_path)) == ["x"]
    with pytest.raises(ConfigurationError, match="split 'test'"):
        read(tmp_path, split="test")


def test_a_subset_is_a_folder_or_a_part_of_the_name(tmp_path: Path):
    write(tmp_path / "main" / "train.jsonl", '{"prompt": "m"}\n')
    write(tmp_path / "socratic" / "train.jsonl", '{"prompt": "s"}\n')
    assert prompts(read(tmp_path, subset="socratic")) == ["s"]
    with pytest.raises(ConfigurationError, match="of subset 'other'"):
        read(tmp_path, subset="other")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", '{"prompt": "x"}\n{"prompt": \n', "line 2 is not JSON"),
        ("a.jsonl", "[1]\n", "line 1 is a list, not an object"),
        ("a.jsonl", "[" * 100_000, "line 1 is not JSON"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "3", "no list of rows"),
        ("a.json", '["x"]', "row 1 is a str, not an object"),
        ("a.csv", "prompt,label\nx,1\ny\n", "line 3 does not have the 2 columns"),
        ("a.csv", "prompt\nx,y\n", "line 2 does not have the 1 columns"),
        ("a.csv", 'prompt\n"x\n', "is not CSV"),
        ("a.parquet", "no parquet", "is not a Parquet file"),
        ("a.yaml", "prompt: x", "must be one of .jsonl"),
        ("a", "prompt: x", "must be one of .jsonl"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, name: str, text: str, words: str):
    file = write(tmp_path / name, text)
    with pytest.raises(ConfigurationError, match=words) as raised:
        read(file)
    assert str(file) in str(raised.value)


def test_text_that_is_not_utf_8_says_so(tmp_path: Path):
    (tmp_path / "a.jsonl").write_bytes(b'{"prompt": "\xff"}')
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read(tmp_path / "a.jsonl")


def test_a_directory_without_data_says_so(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="holds no file ending in"):
        read(tmp_path)
