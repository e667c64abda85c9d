"""`--set path=value`: one field of a manifest, changed from the command line."""

import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.job import RLHFJobSpec
from openrlhf_core.spec.kinds.rule import FieldPath
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.reading.spec_tree import field_names
from openrlhf_core.spec.reading.yaml_reader import path_text, read_yaml

ROOTS = ("apiVersion", "kind", "metadata", "spec")
PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def apply_overrides(data: Any, overrides: Sequence[str]) -> Any:
    """The object with every `path=value` set. ConfigurationError names one that cannot be set.

    A value is typed as in YAML: `5` is a number, `"5"` a text, `null` takes the field away. A path
    begins at the object (`spec.training.maxSteps`), at spec or at training (`maxSteps`).
    """
    data = deepcopy(data)
    for override in overrides:
        path, value = parse_override(override)
        _put(data, path, value, override)
    return data


def parse_override(override: str) -> tuple[FieldPath, Any]:
    """Path from the object's root, and the value, of `path=value`."""
    text, separator, value = override.partition("=")
    if not separator or not text.strip():
        raise ConfigurationError(f"--set {override}: is no path=value; write --set maxSteps=10")
    return _rooted(_parts(text.strip(), override)), _value(value, override)


def _parts(text: str, override: str) -> FieldPath:
    parts: list[str | int] = []
    for piece in text.split("."):
        found = list(PART.finditer(piece))
        if "".join(match[0] for match in found) != piece or not found:
            raise ConfigurationError(
                f"--set {override}: {text!r} is no path; write names joined by . and [0] for the "
                "first entry of a list"
            )
        parts += [match[1] if match[1] else int(match[2]) for match in found]
    return tuple(parts)


def _rooted(path: FieldPath) -> FieldPath:
    if path[0] in ROOTS:
        return path
    if path[0] in field_names(RLHFJobSpec):
        return ("spec", *path)
    return ("spec", "training", *path) if path[0] in field_names(TrainingSpec) else path


def _value(text: str, override: str) -> Any:
    file = read_yaml(text.encode("utf-8", "replace"))
    if file.problems or len(file.documents) > 1:
        reason = file.problems[0].message if file.problems else "is more than one document"
        raise ConfigurationError(f"--set {override}: the value {reason}; put it in quotes")
    return file.documents[0].data if file.documents else None


def _put(data: Any, path: FieldPath, value: Any, override: str) -> None:
    holder = data
    for place, part in enumerate(path[:-1]):
        if isinstance(holder, dict) and isinstance(part, str) and holder.get(part) is None:
            holder[part] = {}
        holder = _entry(holder, part, path[: place + 1], override)
    if not (isinstance(holder, dict) and isinstance(path[-1], str)):
        _entry(holder, path[-1], path, override)
    holder[path[-1]] = value


def _entry(holder: Any, part: str | int, path: FieldPath, override: str) -> Any:
    try:
        if not isinstance(holder, dict | list):
            raise TypeError(f"{holder!r} holds nothing")
        entries: Any = holder
        return entries[part]
    except (KeyError, IndexError, TypeError):
        raise ConfigurationError(
            f"--set {override}: the manifest has no {path_text(path)}; name a field that is there, "
            "or one to add to a map"
        ) from None
