"""Decides which roles a training starts, and why. Nothing else decides it.

A recipe's roles are in `openrlhf_core.spec.kinds.recipes.RECIPES`. All of them are started, except
those that `CONDITIONS` leaves out for this training: no reference is loaded where the KL
coefficient is 0. Placement, memory estimate, turns, checkpoints and status iterate over `roles_of`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from openrlhf_core.spec.kinds.placement import Role
from openrlhf_core.spec.kinds.recipes import RECIPES, RoleKind
from openrlhf_core.spec.kinds.rule import cel_list
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.presets import algorithms_where, resolve_rl


@dataclass(frozen=True)
class NeededRole:
    """A role that is started."""

    role: Role
    kind: RoleKind
    reason: str
    """Why it is needed, for `rlhf plan`."""


@dataclass(frozen=True)
class Decision:
    """Whether a training needs one of its recipe's roles."""

    is_needed: bool
    reason: str
    """The fact that decided it."""


@dataclass(frozen=True)
class Condition:
    """When a recipe needs one of its roles, in Python and in CEL over a TrainingSpec."""

    decide: Callable[[TrainingSpec], Decision]
    reads: tuple[str, ...]
    """Fields that it reads, dotted."""
    cel: str
    """True where the role is needed."""
    unless: str
    """When it is not needed, for people."""


def roles_of(training: TrainingSpec) -> tuple[NeededRole, ...]:
    """The roles that a training starts, in the order of the recipe's table."""
    decisions = _decisions(training)
    return tuple(
        NeededRole(role, kind, decisions[role].reason)
        for role, kind in RECIPES[training.recipe].roles.items()
        if decisions[role].is_needed
    )


def why_not_needed(training: TrainingSpec, role: Role) -> str | None:
    """Why a role is not started; None where it is."""
    decision = _decisions(training).get(role)
    if decision is None:
        return f"recipe {training.recipe} has no role {role}"
    return None if decision.is_needed else decision.reason


def _decisions(training: TrainingSpec) -> dict[Role, Decision]:
    """The decision about every role of the training's recipe."""
    always = Decision(True, f"recipe {training.recipe} always needs it")
    return {
        role: CONDITIONS[role].decide(training) if role in CONDITIONS else always
        for role in RECIPES[training.recipe].roles
    }


def _kl_is_measured(training: TrainingSpec) -> Decision:
    """In recipe RL a reference is loaded only for a KL penalty; other recipes always need it."""
    if training.recipe != "RL":
        return Decision(True, f"recipe {training.recipe} always needs it")
    if training.rl is None:
        return Decision(False, "rl is not set")
    kl = resolve_rl(training.rl).kl
    return Decision(kl.needs_reference, f"rl.kl.coefficient is {kl.coefficient:g}")


CONDITIONS: dict[Role, Condition] = {
    "Reference": Condition(
        decide=_kl_is_measured,
        reads=("rl.kl", "rl.algorithm"),
        cel="(self.recipe != 'RL' || has(self.rl) && "
        "(has(self.rl.kl) && has(self.rl.kl.coefficient) "
        "? self.rl.kl.coefficient > 0.0 : self.rl.algorithm in "
        f"{cel_list(algorithms_where(lambda preset: preset.kl.needs_reference))}))",
        unless="rl.kl.coefficient is 0",
    )
}
"""Roles that are started only under a condition. Any other role of a recipe always starts."""
