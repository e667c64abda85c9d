"""Repairs an invalid object, so that the rules can check the rest of it in the same pass.

Wrong fields are removed and missing ones filled with placeholders. `validate` skips the rules that
read a repaired field.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from openrlhf_core.spec.kinds.base import SpecModel, without_nulls
from openrlhf_core.spec.kinds.data import DatasetSpec, DataSpec
from openrlhf_core.spec.kinds.job import ClusterGroupSpec, RLHFJob, RLHFJobSpec, RuntimeReference
from openrlhf_core.spec.kinds.kubernetes import (
    API_VERSION,
    LocalReference,
    TopologySpec,
)
from openrlhf_core.spec.kinds.model import ModelsSpec, PolicySpec
from openrlhf_core.spec.kinds.placement import WorkerGroupSpec
from openrlhf_core.spec.kinds.records import WandbSpec
from openrlhf_core.spec.kinds.reward import RewardFunctionSpec, RewardSpec
from openrlhf_core.spec.kinds.rl import RLSpec
from openrlhf_core.spec.kinds.rule import FieldPath
from openrlhf_core.spec.kinds.runtime import (
    ClusterRLHFRuntime,
    DeviceSpec,
    RLHFRuntime,
    RLHFRuntimeSpec,
)
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.reading.sentences import repeats_others
from openrlhf_core.spec.reading.spec_tree import spec_class_at

M = TypeVar("M", bound=SpecModel)

MAX_REPAIRS = 8
NAME = "stand-in"
_SOURCE = {"source": NAME}
_MODELS = {"policy": _SOURCE}
_DATA = {"train": [_SOURCE]}
_TRAINING = {
    "recipe": "RL",
    "model": _MODELS,
    "data": _DATA,
    "reward": {"functions": [_SOURCE]},
    "rl": {"algorithm": "GRPO"},
    "maxSteps": 1,
}
_RUNTIME = {"image": NAME, "rayVersion": "2.60.0", "device": {"kind": "CPU"}}
_METADATA = {"name": NAME}

STAND_INS: dict[type[BaseModel], dict[str, Any]] = {
    RLHFJob: {
        "apiVersion": API_VERSION,
        "kind": "RLHFJob",
        "metadata": _METADATA,
        "spec": {"training": _TRAINING},
    },
    RLHFRuntime: {
        "apiVersion": API_VERSION,
        "kind": "RLHFRuntime",
        "metadata": _METADATA,
        "spec": _RUNTIME,
    },
    ClusterRLHFRuntime: {
        "apiVersion": API_VERSION,
        "kind": "ClusterRLHFRuntime",
        "metadata": _METADATA,
        "spec": _RUNTIME,
    },
    RLHFJobSpec: {"training": _TRAINING},
    RuntimeReference: {"name": NAME},
    TrainingSpec: {"recipe": "RL", "model": _MODELS, "data": _DATA},
    ModelsSpec: _MODELS,
    PolicySpec: _SOURCE,
    DataSpec: _DATA,
    DatasetSpec: _SOURCE,
    RewardSpec: {"functions": [_SOURCE]},
    RewardFunctionSpec: _SOURCE,
    RLSpec: {"algorithm": "GRPO"},
    WorkerGroupSpec: {"name": NAME, "roles": ["Policy", "Reference", "Rollout"]},
    WandbSpec: {"project": NAME},
    ClusterGroupSpec: {"name": NAME},
    LocalReference: {"name": NAME},
    TopologySpec: {"level": NAME},
    RLHFRuntimeSpec: _RUNTIME,
    DeviceSpec: {"kind": "CPU"},
}
"""A placeholder for each required field, by class."""


def repaired(spec_class: type[M], data: Mapping[str, Any]) -> M | None:
    """The object with wrong fields removed and missing ones filled; None where that fails."""
    fixed: Any = deepcopy(without_nulls(data))
    for _ in range(MAX_REPAIRS):
        try:
            return spec_class.from_manifest(fixed)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                path = tuple(part for part in item["loc"] if part != "[key]")
                if item["type"] == "missing":
                    _fill(fixed, path, spec_class)
                elif not repeats_others(item):
                    _remove(fixed, path)
    return None


def _fill(data: Any, path: FieldPath, root: type[BaseModel]) -> None:
    """Puts a placeholder where a field is missing."""
    holder_class = spec_class_at(root, path[:-1])
    holder = data
    for part in path[:-1]:
        holder = _below(holder, part)
    if isinstance(holder, dict) and holder_class is not None:
        holder[path[-1]] = deepcopy(STAND_INS[holder_class][str(path[-1])])


def _remove(data: Any, path: FieldPath) -> None:
    """Removes a wrong field. For a wrong entry of a list it removes the whole list."""
    holder, key = data, None
    below: Any = data
    for part in path:
        if isinstance(below, dict) and isinstance(part, str):
            holder, key = below, part
        below = _below(below, part)
    if key is not None:
        holder.pop(key, None)


def _below(data: Any, part: str | int) -> Any:
    try:
        return data[part]
    except (KeyError, IndexError, TypeError):
        return None
