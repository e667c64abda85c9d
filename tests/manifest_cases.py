"""The sound manifest and the malformed ones: each a change of the sound one, and what it names."""

import copy
from pathlib import Path
from typing import Any

from openrlhf_core.spec.reading.yaml_reader import read_yaml

FOLDER = Path(__file__).parent / "manifests"
BASE: dict[str, Any] = read_yaml((FOLDER / "base.yaml").read_bytes()).documents[0].data
MALFORMED: list[dict[str, Any]] = (
    read_yaml((FOLDER / "malformed.yaml").read_bytes()).documents[0].data
)


def spoilt(case: dict[str, Any]) -> dict[str, Any]:
    """The sound manifest with the `set` fields of a case put in and its `remove` fields out."""
    manifest = copy.deepcopy(BASE)
    for path, value in case.get("set", {}).items():
        *parents, last = path.split(".")
        holder(manifest, parents)[last] = value
    for path in case.get("remove", []):
        *parents, last = path.split(".")
        del holder(manifest, parents)[last]
    return manifest


def holder(manifest: dict[str, Any], parents: list[str]) -> dict[str, Any]:
    """The mapping below `parents`, made where it is missing."""
    for name in parents:
        manifest = manifest.setdefault(name, {})
    return manifest
