"""Datasets of the hub, from files as a snapshot leaves them; no network."""

from pathlib import Path

import datasets
import pytest

from openrlhf_core.data.reading.hub_datasets import is_saved_dataset, read_hub_dataset
from openrlhf_core.data.reading.rows import PlacedRow
from openrlhf_core.spec.exit_codes import ConfigurationError

CARD = """---
configs:
- config_name: easy
  data_files:
  - split: train
    path: rows/one.jsonl
  - split: test
    path: rows/two.jsonl
- config_name: hard
  data_files: rows/three.jsonl
---
"""


def make_snapshot(directory: Path) -> Path:
    (directory / "rows").mkdir(parents=True)
    (directory / "README.md").write_text(CARD)
    for name in ("one", "two", "three"):
        rows = "".join(f'{{"prompt": "{name} {i}", "nested": {{"n": {i}}}}}\n' for i in range(3))
        (directory / "rows" / f"{name}.jsonl").write_text(rows)
    return directory


def read(directory: Path, subset: str | None, split: str) -> list[PlacedRow]:
    return list(read_hub_dataset(directory, subset, split, directory.parent / "cache"))


def rows_of(directory: Path, subset: str | None, split: str) -> list[dict]:
    return [row.row for row in read(directory, subset, split)]


def test_the_card_tells_subsets_and_splits(tmp_path: Path):
    snapshot = make_snapshot(tmp_path / "snapshot")
    assert rows_of(snapshot, "easy", "test")[1] == {"prompt": "two 1", "nested": {"n": 1}}
    assert rows_of(snapshot, "hard", "train")[0]["prompt"] == "three 0"
    assert read(snapshot, "hard", "train")[2].place == f"{snapshot}, row 3"


@pytest.mark.parametrize(("subset", "split"), [("easy", "dev"), ("other", "train")])
def test_a_subset_or_split_that_is_not_there_says_so(tmp_path: Path, subset: str, split: str):
    snapshot = make_snapshot(tmp_path / "snapshot")
    with pytest.raises(ConfigurationError, match=f"cannot read split '{split}' of subset"):
        read(snapshot, subset, split)


def test_a_saved_dataset_is_read(tmp_path: Path):
    rows = datasets.Dataset.from_list([{"prompt": "a"}, {"prompt": "b"}])
    rows.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": rows}).save_to_disk(str(tmp_path / "many"))
    assert is_saved_dataset(tmp_path / "one")
    assert is_saved_dataset(tmp_path / "many")
    assert not is_saved_dataset(tmp_path)
    assert rows_of(tmp_path / "one", None, "train") == [{"prompt": "a"}, {"prompt": "b"}]
    assert rows_of(tmp_path / "many", None, "train") == [{"prompt": "a"}, {"prompt": "b"}]
    with pytest.raises(ConfigurationError, match="cannot read split 'test'"):
        read(tmp_path / "many", None, "test")
