"""run.json: the run that an output directory belongs to, and whether a spec may continue it.

May differ from the spec the run began with: `logging` and `checkpoint` (they change what is
written, not what is trained), `weightSync.timeoutSeconds`, and a larger `maxSteps` or `epochs`.
Everything else would make another run of it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from openrlhf_core.spec.kinds.base import NonNegativeInt, SpecModel
from openrlhf_core.spec.kinds.training import TrainingSpec

RUN_FILE = "run.json"
FREE_FIELDS = ("logging", "checkpoint", "weightSync.timeoutSeconds")
GROWING_FIELDS = ("maxSteps", "epochs")


class RunRecord(SpecModel):
    """The content of run.json. Written when a run begins, continues with more steps, or is done."""

    format: Literal[1] = Field(1, description="Version of this layout.")
    run_id: str = Field(description="Name of this run at trackers, made when it began.")
    began: AwareDatetime = Field(
        description="When the run began: the time that chat templates get, in every attempt."
    )
    job_uid: str = Field(description="Kubernetes uid of the job that began it; empty locally.")
    training: TrainingSpec = Field(description="The resolved spec.")
    finished_step: NonNegativeInt | None = Field(
        None, description="Last step of a run that is done; absent while it is not."
    )

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, indent=1, exclude_none=True) + "\n"


@dataclass(frozen=True)
class Difference:
    """A field of `training` with its value in run.json and in the new spec; None is absent."""

    field: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"training.{self.field} was {_show(self.old)} and is now {_show(self.new)}"

    @property
    def is_free(self) -> bool:
        """Whether a run may be continued with the new value."""
        if self.field in GROWING_FIELDS:
            return self.old is not None and self.new is not None and self.new > self.old
        return any(self.field == free or self.field.startswith(f"{free}.") for free in FREE_FIELDS)


def differences(old: TrainingSpec, new: TrainingSpec) -> list[Difference]:
    """Every field whose value differs, by its path in YAML, in order of the paths."""
    before, after = (dict(_leaves("", _plain(spec))) for spec in (old, new))
    return [
        Difference(path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def grows(old: TrainingSpec, new: TrainingSpec) -> bool:
    """Whether `new` asks for more steps than `old`."""
    return any(change.field in GROWING_FIELDS for change in differences(old, new))


def _plain(spec: TrainingSpec) -> Any:
    return spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Scalars and lists of scalars with their paths; entries of named lists go by their names."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _leaves(f"{path}.{key}" if path else key, child)
    elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        for index, entry in enumerate(value):
            yield from _leaves(f"{path}[{entry.get('name', index)}]", entry)
    else:
        yield path, value


def _show(value: Any) -> str:
    return "absent" if value is None else json.dumps(value, ensure_ascii=False)
