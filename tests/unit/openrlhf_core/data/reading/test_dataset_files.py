"""Which files of a directory hold the rows."""

from pathlib import Path

import pytest

from openrlhf_core.data.reading.dataset_files import files_of_directory, files_of_pattern
from openrlhf_core.spec.exit_codes import ConfigurationError


def touch(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("{}")


def found(directory: Path, subset: str | None = None, split: str = "train") -> list[str]:
    files = files_of_directory(directory, subset, split)
    return [str(file.relative_to(directory)) for file in files]


def test_files_come_in_the_order_of_their_names(tmp_path: Path):
    touch(tmp_path, "2.csv", "1.jsonl.gz", "3.parquet", "4.arrow", "notes.txt", "image.png")
    assert found(tmp_path) == ["1.jsonl.gz", "2.csv", "3.parquet", "4.arrow"]


def test_what_hugging_face_ignores_is_ignored(tmp_path: Path):
    touch(tmp_path, "rows.jsonl", "README.md", "config.json", "dataset_info.json")
    touch(tmp_path, "dataset_infos.json", "dataset_dict.json", "a/dataset_info.json", "state.json")
    touch(tmp_path, ".git/objects.json", ".rows.jsonl", "__pycache__/x.json", "__MACOSX/rows.jsonl")
    assert found(tmp_path) == ["rows.jsonl"]


def test_names_of_splits_choose_the_files(tmp_path: Path):
    touch(tmp_path, "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet")
    touch(tmp_path, "dev/rows.jsonl.gz")
    assert found(tmp_path) == ["data/train-00000-of-00001.parquet"]
    assert found(tmp_path, split="test") == ["data/test-00000-of-00001.parquet"]
    assert found(tmp_path, split="dev") == ["dev/rows.jsonl.gz"]
    with pytest.raises(ConfigurationError, match="split 'validation'"):
        found(tmp_path, split="validation")


def test_without_names_of_splits_there_is_train_alone(tmp_path: Path):
    touch(tmp_path, "rows.jsonl")
    assert found(tmp_path) == ["rows.jsonl"]
    with pytest.raises(ConfigurationError, match="split 'test'"):
        found(tmp_path, split="test")


def test_a_subset_is_a_folder_or_a_part_of_the_name(tmp_path: Path):
    touch(tmp_path, "main/train.jsonl", "socratic/train.jsonl")
    assert found(tmp_path, subset="socratic") == ["socratic/train.jsonl"]
    with pytest.raises(ConfigurationError, match="of subset 'other'"):
        found(tmp_path, subset="other")


def test_a_directory_without_rows_says_so(tmp_path: Path):
    touch(tmp_path, "dataset_infos.json")
    with pytest.raises(ConfigurationError, match="holds no file ending in"):
        found(tmp_path)


def test_a_pattern_names_files_of_any_split(tmp_path: Path):
    touch(tmp_path, "b/train-1.jsonl", "a/test-1.jsonl", "a/.hidden-1.jsonl", "a/test-2.csv")
    assert [file.name for file in files_of_pattern(tmp_path, "*/*-1.jsonl")] == [
        "test-1.jsonl",
        "train-1.jsonl",
    ]
    assert [file.name for file in files_of_pattern(tmp_path, "**/*.csv")] == ["test-2.csv"]
    assert [file.name for file in files_of_pattern(tmp_path, "a/.*")] == [".hidden-1.jsonl"]
    with pytest.raises(ConfigurationError, match="no file has such a name"):
        files_of_pattern(tmp_path, "*.parquet")
