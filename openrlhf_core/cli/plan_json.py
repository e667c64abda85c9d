"""`rlhf plan -o json`: the report as plain data, with the camelCase names of manifests."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from openrlhf_core.spec.kinds.base import SpecModel
from openrlhf_core.spec.planning.fit import Fit
from openrlhf_core.spec.planning.plan import plan_hash

if TYPE_CHECKING:
    from openrlhf_core.cli.plan import Report


def as_data(report: "Report") -> dict[str, Any]:
    """The report as plain data."""
    resolved = report.resolved
    data = {
        "name": report.name,
        "resolved": {
            "rl": resolved.rl,
            "learners": resolved.learners,
            "rollout": resolved.rollout,
        },
        "training": resolved.spec,
        "roles": resolved.roles,
        "plan": resolved.plan,
        "planHash": plan_hash(resolved.plan),
        "devices": resolved.plan.num_devices,
        "modelShape": report.shape_note,
        "memory": None if report.fit is None else _memory(report, report.fit),
    }
    plain: dict[str, Any] = to_plain({key: value for key, value in data.items() if value})
    return plain


def _memory(report: "Report", fit: Fit) -> dict[str, Any]:
    return {
        "device_bytes": fit.device_bytes,
        "groups": [to_plain(group) | {"peak": group.peak} for group in fit.groups],
        "problems": fit.problems,
        "changes": report.changes or (),
    }


def to_plain(value: Any) -> Any:
    """Dataclasses, spec models, mappings and tuples as JSON types; keys are written in camelCase.

    >>> to_plain({"weight_sync": (1, 2)})
    {'weightSync': [1, 2]}
    """
    if isinstance(value, SpecModel):
        return value.to_manifest()
    if is_dataclass(value):
        value = {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, Mapping):
        return {_camel(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)
