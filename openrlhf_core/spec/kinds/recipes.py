"""The table of recipes: what each one reads of `training`, and which roles it has.

`openrlhf_core.spec.planning.roles` reads the roles; `openrlhf_core.recipes` holds what runs them.
"""

from dataclasses import dataclass
from typing import Literal

from openrlhf_core.spec.kinds.placement import Role

RecipeName = Literal["RL"]
RoleKind = Literal["Trained", "Frozen", "Engine"]


@dataclass(frozen=True)
class Recipe:
    """One recipe, by the names of fields and roles."""

    roles: dict[Role, RoleKind]
    """Roles that the recipe may start. Trained: weights change; Frozen: a model that only scores;
    Engine: generates."""


RECIPES: dict[RecipeName, Recipe] = {
    "RL": Recipe(roles={"Policy": "Trained", "Reference": "Frozen", "Rollout": "Engine"}),
}
