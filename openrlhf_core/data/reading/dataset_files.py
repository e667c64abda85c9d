"""Chooses the files of a directory that hold a dataset's rows, by split, subset or pattern."""

import re
from pathlib import Path

from openrlhf_core.data.reading.formats import READERS, has_format
from openrlhf_core.spec.exit_codes import ConfigurationError

SPLIT_NAMES = {"train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval"}

METADATA_NAMES = {
    "config.json",
    "dataset_dict.json",
    "dataset_info.json",
    "dataset_infos.json",
    "state.json",
}
"""Files that lie beside the rows of a dataset and describe it; Hugging Face reads no rows there."""


def files_of_directory(directory: Path, subset: str | None, split: str) -> list[Path]:
    """The files with rows below a directory, in the order of their paths.

    If files or folders are named after splits (train, test, ...), those of `split` are taken,
    else all of them; `subset` keeps the files or folders with its name. Left out is what Hugging
    Face leaves out: metadata, and names that begin with `.` or, for folders, with `__`.
    """
    files = [file for file in sorted(directory.rglob("*")) if _holds_rows(file, directory)]
    if not files:
        raise ConfigurationError(f"{directory} holds no file ending in {', '.join(READERS)}")
    words = {file: _words(file.relative_to(directory)) for file in files}
    if subset is not None:
        files = [file for file in files if subset.lower() in words[file]]
    if any(words[file] & SPLIT_NAMES for file in files) or split != "train":
        files = [file for file in files if split.lower() in words[file]]
    if not files:
        asked = f"split {split!r}" + (f" of subset {subset!r}" if subset is not None else "")
        raise ConfigurationError(
            f"{directory} holds no file whose name tells of {asked}; fix the name in data.train"
        )
    return files


def files_of_pattern(directory: Path, pattern: str) -> list[Path]:
    """The files below a directory that a glob pattern such as `part-*.jsonl` names, sorted."""
    asks_hidden = any(part.startswith(".") for part in Path(pattern).parts)
    files = [
        file
        for file in sorted(directory.glob(pattern))
        if file.is_file() and (asks_hidden or not _is_hidden(file.relative_to(directory)))
    ]
    if not files:
        raise ConfigurationError(f"{directory / pattern}: no file has such a name; fix the pattern")
    return files


def _holds_rows(file: Path, directory: Path) -> bool:
    relative = file.relative_to(directory)
    return (
        has_format(file)
        and file.name.lower() not in METADATA_NAMES
        and not _is_hidden(relative)
        and not any(part.startswith("__") for part in relative.parts[:-1])
        and file.is_file()
    )


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _words(relative: Path) -> set[str]:
    """Names in a relative path: its folders, the file's name without endings, its words."""
    name = relative.name.lower()
    stem = name.partition(".")[0]
    folders = {part.lower() for part in relative.parts[:-1]}
    return folders | {stem, relative.stem.lower()} | set(re.split(r"[-_. ]+", name))
