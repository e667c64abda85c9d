"""Which roles a training starts, and why. The only place that decides it.

A recipe's roles are in `openrlhf_core.spec.kinds.recipes.RECIPES`. All of them are started, except
those that `CONDITIONS` leaves out for this training: no reference is loaded where the KL
coefficient is 0. Placement, memory estimate, turns, checkpoints and status iterate over `roles_of`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from openrlhf_core.spec.kinds.placement import Role
from openrlhf_core.spec.kinds.recipes import RECIPES, RoleKind
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.presets import resolve_rl


@dataclass(frozen=True)
class NeededRole:
    """A role that is started."""

    role: Role
    kind: RoleKind
    reason: str
    """Why it is needed, for `rlhf plan`."""


@dataclass(frozen=True)
class Condition:
    """Whether a training needs one of its recipe's roles."""

    is_met: bool
    reason: str
    """The fact that decided it."""


def roles_of(training: TrainingSpec) -> tuple[NeededRole, ...]:
    """The roles that a training starts, in the order of the recipe's table."""
    conditions = _conditions(training)
    return tuple(
        NeededRole(role, kind, conditions[role].reason)
        for role, kind in RECIPES[training.recipe].roles.items()
        if conditions[role].is_met
    )


def why_not_needed(training: TrainingSpec, role: Role) -> str | None:
    """Why a role is not started; None where it is."""
    condition = _conditions(training).get(role)
    if condition is None:
        return f"recipe {training.recipe} has no role {role}"
    return None if condition.is_met else condition.reason


def _conditions(training: TrainingSpec) -> dict[Role, Condition]:
    """The decision about every role of the training's recipe."""
    always = Condition(True, f"recipe {training.recipe} always needs it")
    return {
        role: CONDITIONS[role](training) if role in CONDITIONS else always
        for role in RECIPES[training.recipe].roles
    }


def _kl_is_measured(training: TrainingSpec) -> Condition:
    """A reference is loaded only for a KL penalty, which compares the policy with it."""
    kl = resolve_rl(training.rl).kl
    return Condition(kl.needs_reference, f"rl.kl.coefficient is {kl.coefficient:g}")


CONDITIONS: dict[Role, Callable[[TrainingSpec], Condition]] = {"Reference": _kl_is_measured}
"""Roles that a recipe may do without. A role that is not here is always started."""
