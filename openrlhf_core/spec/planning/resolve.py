"""`resolve`: computes all settings, roles and the plan of a valid training spec.

`rlhf plan`, `rlhf run`, the driver and the operator call it once and pass the result on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from openrlhf_core.spec.kinds.placement import Role
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.plan import Plan, make_plan
from openrlhf_core.spec.planning.presets import (
    LearnerSettings,
    RLSettings,
    RolloutSettings,
    resolve_learner,
    resolve_rl,
    resolve_rollout,
)
from openrlhf_core.spec.planning.roles import NeededRole, roles_of


@dataclass(frozen=True)
class ResolvedTraining:
    """A training spec with all that follows from it. Made by `resolve`."""

    spec: TrainingSpec
    """The spec as it was written. The other fields hold what it leaves open."""
    roles: tuple[NeededRole, ...]
    plan: Plan
    learners: Mapping[Role, LearnerSettings] = field(hash=False)
    """Settings of each trained role."""
    rl: RLSettings | None
    """Settings of recipe RL; None for a recipe without reinforcement learning."""
    rollout: RolloutSettings | None
    """Settings of the engines; None for a recipe that generates nothing."""


def resolve(training: TrainingSpec) -> ResolvedTraining:
    """Presets, roles and placement of a valid spec. ValueError when no plan can be made of it."""
    roles = roles_of(training)
    rl = None if training.rl is None else resolve_rl(training.rl)
    written = training.rollout
    rollout = None if written is None else resolve_rollout(written, training.learner)
    return ResolvedTraining(
        spec=training,
        roles=roles,
        plan=make_plan(training, roles),
        learners={
            needed.role: resolve_learner(training.learner, rl)
            for needed in roles
            if needed.kind == "Trained"
        },
        rl=rl,
        rollout=rollout,
    )
