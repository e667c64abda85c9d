"""Rows of a dataset of the Hugging Face hub, from its downloaded files, or of a saved one."""

from pathlib import Path

from openrlhf_core.data.tables import Table, TablePart
from openrlhf_core.spec.exit_codes import ConfigurationError


def is_saved_dataset(directory: Path) -> bool:
    """Whether `datasets.Dataset.save_to_disk` wrote this directory."""
    return any((directory / name).is_file() for name in ("state.json", "dataset_dict.json"))


def read_hub_dataset(
    directory: Path, subset: str | None, split: str, max_rows: int | None, cache: Path | None
) -> Table:
    """The first `max_rows` rows, with subsets and splits as the dataset's own card tells them.

    Never goes to the network. ConfigurationError carries the reason that `datasets` gives.
    """
    # Slow to import, and only a hub dataset needs it.
    import datasets  # noqa: PLC0415

    datasets.disable_progress_bars()
    try:
        if is_saved_dataset(directory):
            loaded = datasets.load_from_disk(str(directory))
            if isinstance(loaded, datasets.DatasetDict):
                loaded = loaded[split]
        else:
            folder = None if cache is None else str(cache / "datasets")
            loaded = datasets.load_dataset(
                str(directory), name=subset, split=split, cache_dir=folder
            )
    except (ValueError, OSError, KeyError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(
            f"{directory}: cannot read split {split!r}"
            + (f" of subset {subset!r}" if subset is not None else "")
            + f": {reason}"
        ) from error
    if max_rows is not None:
        loaded = loaded.select(range(min(max_rows, len(loaded))))
    rows = loaded.to_list()
    part = TablePart(str(directory), "row", list(range(1, len(rows) + 1)), rows)
    return Table((part,))
