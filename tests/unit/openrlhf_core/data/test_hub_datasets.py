"""Datasets of the hub, from files as a snapshot leaves them; no network."""

from pathlib import Path

import datasets
import pytest

from openrlhf_core.data.hub_datasets import is_saved_dataset, read_hub_dataset
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


def read(directory: Path, subset: str | None, split: str, max_rows: int | None = None):
    return read_hub_dataset(directory, subset, split, max_rows, directory.parent / "cache")


def test_the_card_tells_subsets_and_splits(tmp_path: Path):
    snapshot = make_snapshot(tmp_path / "snapshot")
    assert read(snapshot, "easy", "test").rows[1] == {"prompt": "two 1", "nested": {"n": 1}}
    assert read(snapshot, "hard", "train", max_rows=2).rows[0]["prompt"] == "three 0"
    assert len(read(snapshot, "hard", "train", max_rows=2).rows) == 2
    assert read(snapshot, "hard", "train").place(2) == f"{snapshot}, row 3"


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
    assert read(tmp_path / "one", None, "train").rows == [{"prompt": "a"}, {"prompt": "b"}]
    assert read(tmp_path / "many", None, "train", max_rows=1).rows == [{"prompt": "a"}]
    with pytest.raises(ConfigurationError, match="cannot read split 'test'"):
        read(tmp_path / "many", None, "test")
