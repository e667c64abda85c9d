"""Datasets of a manifest, from their source to their rows."""

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet

from openrlhf_core.data.reading.datasets import open_dataset
from openrlhf_core.sources import Locator
from openrlhf_core.spec.kinds.data import DatasetSpec


def prompts(base: Path, source: str, **settings: Any) -> list[str]:
    rows = open_dataset(DatasetSpec(source=source, **settings), Locator(base))
    first, second = list(rows), list(rows)
    assert first == second  # each iteration reads anew
    return [row.row["prompt"] for row in first]


def write(file: Path, *values: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps({"prompt": value}) + "\n" for value in values))


def test_a_file_a_directory_and_a_pattern(tmp_path: Path):
    write(tmp_path / "rows" / "1.jsonl", "a", "b")
    write(tmp_path / "rows" / "2.jsonl", "c")
    assert prompts(tmp_path, "rows/2.jsonl") == ["c"]
    assert prompts(tmp_path, "rows") == ["a", "b", "c"]
    assert prompts(tmp_path, "rows/[1-2].jsonl") == ["a", "b", "c"]
    assert prompts(tmp_path, f"file://{tmp_path}/*/1.jsonl") == ["a", "b"]


def test_max_samples_reads_no_further(tmp_path: Path):
    write(tmp_path / "1.jsonl", "a", "b")
    (tmp_path / "2.jsonl").write_text("never read")
    assert prompts(tmp_path, ".", max_samples=2) == ["a", "b"]
    assert prompts(tmp_path, ".", max_samples=1) == ["a"]


def test_a_saved_dataset_is_read_by_split(tmp_path: Path):
    made = {split: datasets.Dataset.from_list([{"prompt": split}]) for split in ("train", "test")}
    datasets.DatasetDict(made).save_to_disk(str(tmp_path / "both"))
    made["test"].save_to_disk(str(tmp_path / "one"))
    assert prompts(tmp_path, "both") == ["train"]
    assert prompts(tmp_path, "both", split="test") == ["test"]
    assert prompts(tmp_path, "one") == ["test"]


def test_a_directory_of_several_formats(tmp_path: Path):
    write(tmp_path / "1.jsonl", "a")
    pyarrow.parquet.write_table(pyarrow.table({"prompt": ["b"]}), tmp_path / "2.parquet")
    assert prompts(tmp_path, ".") == ["a", "b"]
