"""Small files of a manifest's folder, carried to the cluster in a ConfigMap.

A bare path means a file beside the manifest, which no pod has. `rlhf submit` puts reward code,
prompt templates and small data into one ConfigMap named after its content, and writes
`configmap://name/key` in their place. Models and larger files are not carried.
"""

import base64
import copy
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.sources import parse_source

Manifest = dict[str, Any]

MAX_BYTES = 900_000
"""All files together; the API server takes 1 MiB a ConfigMap, names and encoding included."""


@dataclass(frozen=True)
class CarriedFile:
    """A bare path of a manifest and what it holds."""

    field: str
    source: str
    key: str
    content: bytes


def bare_sources(training: Manifest) -> list[tuple[str, str]]:
    """(field path, path as written) of every source that is a bare path."""
    return [(field, holder["source"]) for field, holder in _holders(training) if _is_bare(holder)]


def read_files(bare: Sequence[tuple[str, str]], folder: Path) -> list[CarriedFile]:
    """The files that bare paths mean, relative to the manifest's folder.

    Raises ConfigurationError naming every path that cannot be carried: not a file, a model, or too
    large together.
    """
    problems, files = [], []
    for field, source in bare:
        path = folder / source
        if ".model." in field and not field.endswith("chatTemplate.source"):
            problems.append(
                f"{field}: {source}: a model is not carried; name it by hf:// or pvc://"
            )
        elif not path.is_file():
            problems.append(f"{field}: {source}: there is no such file in {folder}")
        else:
            files.append(CarriedFile(field, source, _key(source), path.read_bytes()))
    size = sum({file.key: len(file.content) for file in files}.values())
    if size > MAX_BYTES:
        problems.append(
            f"{', '.join(file.source for file in files)}: {size} bytes together, and a ConfigMap "
            f"carries {MAX_BYTES}; put them on a volume and write pvc://claim/path"
        )
    if problems:
        raise ConfigurationError("\n".join(problems))
    return files


def config_map(job_name: str, files: Sequence[CarriedFile]) -> Manifest:
    """The ConfigMap of the files; its name ends in a hash of them, so it never changes."""
    texts, binaries = {}, {}
    for file in files:
        try:
            texts[file.key] = file.content.decode()
        except UnicodeDecodeError:
            binaries[file.key] = base64.b64encode(file.content).decode()
    contents = {"data": texts, "binaryData": binaries}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{job_name}-files-{_digest(files)}"},
        "immutable": True,
        **{field: keys for field, keys in contents.items() if keys},
    }


def with_carried_sources(job: Manifest, files: Sequence[CarriedFile], name: str) -> Manifest:
    """The job with `configmap://name/key` in place of each bare path."""
    carried = copy.deepcopy(job)
    keys = {file.source: file.key for file in files}
    for _, holder in _holders(carried["spec"]["training"]):
        if _is_bare(holder) and holder["source"] in keys:
            holder["source"] = f"configmap://{name}/{keys[holder['source']]}"
    return carried


def _holders(training: Manifest) -> Iterator[tuple[str, Manifest]]:
    """Every object of a training spec that holds a `source`, and the path of that field."""
    lists = (
        ("reward.functions", training.get("reward", {}).get("functions", [])),
        ("reward.models", training.get("reward", {}).get("models", [])),
        ("data.train", training.get("data", {}).get("train", [])),
        ("data.eval", training.get("data", {}).get("eval", [])),
    )
    for name, items in lists:
        for index, item in enumerate(items or []):
            yield f"spec.training.{name}[{index}].source", item
    for role, model in training.get("model", {}).items():
        yield f"spec.training.model.{role}.source", model
        if isinstance(model.get("chatTemplate"), dict):
            yield f"spec.training.model.{role}.chatTemplate.source", model["chatTemplate"]


def _is_bare(holder: Manifest) -> bool:
    source = holder.get("source")
    return isinstance(source, str) and parse_source(source).scheme == "path"


def _key(source: str) -> str:
    """A key that keeps the file's name and ending; a hash of the path keeps two apart."""
    name = re.sub(r"[^-._A-Za-z0-9]", "_", Path(source).name)
    return f"{hashlib.sha256(source.encode()).hexdigest()[:6]}-{name}"


def _digest(files: Sequence[CarriedFile]) -> str:
    content = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.key):
        content.update(file.key.encode() + b"\0" + file.content + b"\0")
    return content.hexdigest()[:8]
