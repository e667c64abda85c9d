"""The table of recipes: which parts of `training` each one reads, and which roles it starts.

A new recipe is one entry here. The check of a manifest and the rules of the CRD
(`openrlhf_core.spec.kinds.training_rules`, `...placement_rules`) and the needed roles
(`openrlhf_core.spec.planning.roles`) are made from it; `openrlhf_core.recipes` holds what runs it.
"""

from dataclasses import dataclass
from typing import Literal, TypeVar

from openrlhf_core.spec.kinds.placement import Role

T = TypeVar("T")

RecipeName = Literal["RL", "SFT", "DPO"]
RoleKind = Literal["Trained", "Frozen", "Engine"]
Part = Literal["rl", "sft", "dpo", "reward", "rollout", "weightSync", "model.reference"]
"""Fields of `training`, dotted, that not every recipe reads."""


@dataclass(frozen=True)
class Recipe:
    """What a recipe reads and starts. Setting a part that is not listed here is an error."""

    requires: tuple[Part, ...]
    """Parts that a manifest must set."""
    defaults: tuple[Part, ...]
    """Parts that have their defaults where a manifest leaves them out."""
    allows: tuple[Part, ...]
    """Parts that may be absent."""
    roles: dict[Role, RoleKind]
    """Roles that the recipe may start. Trained: its weights change; Frozen: a model that only
    scores; Engine: it generates."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every part that the recipe reads."""
        return (*self.requires, *self.defaults, *self.allows)


RECIPES: dict[str, Recipe] = {
    "RL": Recipe(
        requires=("rl", "reward"),
        defaults=("rollout", "weightSync"),
        allows=("model.reference",),
        roles={"Policy": "Trained", "Reference": "Frozen", "Rollout": "Engine"},
    ),
    "SFT": Recipe(requires=(), defaults=("sft",), allows=(), roles={"Policy": "Trained"}),
    "DPO": Recipe(
        requires=(),
        defaults=("dpo",),
        allows=("model.reference",),
        roles={"Policy": "Trained", "Reference": "Frozen"},
    ),
}


def present(part: T | None) -> T:
    """A part that the table says a recipe always has, for code of that recipe.

    present(training.reward).functions
    """
    assert part is not None, "a part that the recipe requires is absent: the spec was not validated"
    return part
