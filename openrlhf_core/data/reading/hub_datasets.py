"""Reads a dataset of the Hugging Face hub from its downloaded files, or one saved to disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openrlhf_core.data.reading.formats import ROWS_AT_ONCE, numbered
from openrlhf_core.data.reading.rows import PlacedRow
from openrlhf_core.spec.exit_codes import ConfigurationError


def is_saved_dataset(directory: Path) -> bool:
    """Whether `save_to_disk` of `datasets` wrote this directory."""
    is_one = all((directory / name).is_file() for name in ("state.json", "dataset_info.json"))
    return is_one or (directory / "dataset_dict.json").is_file()


def read_hub_dataset(
    directory: Path, subset: str | None, split: str, cache: Path | None
) -> Iterator[PlacedRow]:
    """The rows of a split; the dataset's own card says which subsets and splits it has.

    Never goes to the network. ConfigurationError carries the reason that `datasets` gives.
    """
    loaded = _load(directory, subset, split, cache).with_format("arrow")
    batches = (table.combine_chunks() for table in loaded.iter(batch_size=ROWS_AT_ONCE))
    for number, row in numbered(batches):
        yield PlacedRow(str(directory), "row", number, row)


def _load(directory: Path, subset: str | None, split: str, cache: Path | None) -> Any:
    # Slow to import, and only such a dataset needs it.
    import datasets  # noqa: PLC0415

    datasets.disable_progress_bars()
    try:
        if is_saved_dataset(directory):
            loaded = datasets.load_from_disk(str(directory))
            return loaded[split] if isinstance(loaded, datasets.DatasetDict) else loaded
        folder = None if cache is None else str(cache / "datasets")
        return datasets.load_dataset(str(directory), name=subset, split=split, cache_dir=folder)
    except (ValueError, OSError, KeyError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(
            f"{directory}: cannot read split {split!r}"
            + (f" of subset {subset!r}" if subset is not None else "")
            + f": {reason}"
        ) from error
