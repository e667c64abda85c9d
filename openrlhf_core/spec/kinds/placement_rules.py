"""The rules of `TrainingSpec` about its placement: every needed role has devices that suit it."""

from collections.abc import Iterator, Mapping

from openrlhf_core.spec.kinds.placement import PlacementSpec, Role, WorkerGroupSpec
from openrlhf_core.spec.kinds.recipes import RECIPES, Recipe, RoleKind
from openrlhf_core.spec.kinds.rule import Rule, Violation, at, cel_list
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.plan import num_engines
from openrlhf_core.spec.planning.presets import (
    DEFAULT_TRAIN_BATCH_SIZE,
    resolve_learner,
    resolve_rl,
)
from openrlhf_core.spec.planning.roles import CONDITIONS, why_not_needed

_GROUPS = "self.placement.groups"


def role_rules(recipes: Mapping[str, Recipe]) -> tuple[Rule, ...]:
    """For each role of a table of recipes: where it is needed, it has its worker group."""
    kinds = {role: kind for recipe in recipes.values() for role, kind in recipe.roles.items()}
    return tuple(_placed(role, kind, recipes) for role, kind in kinds.items())


def _placed(role: Role, kind: RoleKind, recipes: Mapping[str, Recipe]) -> Rule:
    condition = CONDITIONS.get(role)
    many = kind == "Engine"

    def check(training: TrainingSpec) -> Iterator[Violation]:
        if why_not_needed(training, role) is None:
            yield from _in_groups(role, training.placement, many)

    return Rule(
        on=TrainingSpec,
        claim=f"{role} is in {'one or more groups' if many else 'exactly one group'}"
        + (f", unless {condition.unless}" if condition else ""),
        reads=("recipe", "placement.groups", *(condition.reads if condition else ())),
        check=check,
        cel=_placed_cel(role, many, recipes),
    )


def _placed_cel(role: Role, many: bool, recipes: Mapping[str, Recipe]) -> str:
    users = [name for name, recipe in recipes.items() if role in recipe.roles]
    needed = [f"self.recipe in {cel_list(users)}"] if users != [*recipes] else []
    needed += [CONDITIONS[role].cel] if role in CONDITIONS else []
    here = f"'{role}' in g.roles"
    placed = f"{_GROUPS}.exists(g, {here})" if many else f"{_GROUPS}.filter(g, {here}).size() == 1"
    return f"!({' && '.join(needed)}) || {placed}" if needed else placed


def _in_groups(role: Role, placement: PlacementSpec, many: bool) -> Iterator[Violation]:
    names = [group.name for group in _groups_of(role, placement)]
    if not names:
        yield Violation(
            at("placement.groups"),
            f"no group lists the role {role}",
            f"add {role} to the roles of a group",
        )
    if len(names) > 1 and not many:
        yield Violation(
            at("placement.groups"),
            f"the groups {', '.join(names)} all list the role {role}",
            "keep it in one of them",
        )


def _groups_of(role: Role, placement: PlacementSpec) -> list[WorkerGroupSpec]:
    return [group for group in placement.groups if role in group.roles]


def _a_sample_for_every_rank(training: TrainingSpec) -> Iterator[Violation]:
    rl = None if training.rl is None else resolve_rl(training.rl)
    size = resolve_learner(training.learner, rl).train_batch_size
    for role, kind in RECIPES[training.recipe].roles.items():
        groups = _groups_of(role, training.placement) if kind == "Trained" else []
        ranks = max((group.nodes * group.devices_per_node for group in groups), default=0)
        if size < ranks:
            yield Violation(
                at("learner.trainBatchSize"),
                f"is {size} for {ranks} ranks of the {role}, so that some have no sample",
                f"take at least {ranks}, or give the group of {role} fewer devices",
            )


def _engines_fit(training: TrainingSpec) -> Iterator[Violation]:
    size = training.rollout.tensor_parallel_size if training.rollout else 1
    for group in _groups_of("Rollout", training.placement):
        if not num_engines(group, size):
            yield Violation(
                at("rollout.tensorParallelSize"),
                f"is {size}, but the nodes of group {group.name} have {group.devices_per_node} "
                "devices each, and an engine lies within a node",
                f"take a divisor of {group.devices_per_node}, or nodes with more devices",
            )


def _weights_can_travel(training: TrainingSpec) -> Iterator[Violation]:
    backend = training.weight_sync.backend if training.weight_sync else "Auto"
    for group in _groups_of("Rollout", training.placement):
        shares = "Policy" in group.roles
        if backend == "CUDAIPC" and not shares:
            yield Violation(
                at("weightSync.backend"),
                f"is CUDAIPC, but the engines of group {group.name} share no device with the "
                "Policy",
                "take Auto or NCCL, or add Rollout to the Policy's group only",
            )
        if backend == "NCCL" and shares:
            yield Violation(
                at("weightSync.backend"),
                f"is NCCL, which joins no two processes on one device, as in group {group.name}",
                "take Auto or CUDAIPC, or give Rollout a group of its own",
            )


_TRAIN_BATCH = (
    "(has(self.learner.trainBatchSize) ? self.learner.trainBatchSize : "
    "has(self.rl) ? self.rl.rolloutBatchSize * self.rl.groupSize : "
    f"{DEFAULT_TRAIN_BATCH_SIZE})"
)
_TRAINED = dict.fromkeys(
    role for recipe in RECIPES.values() for role, kind in recipe.roles.items() if kind == "Trained"
)
_TP = "(has(self.rollout) ? self.rollout.tensorParallelSize : 1)"

RULES: tuple[Rule, ...] = (
    *role_rules(RECIPES),
    Rule(
        on=TrainingSpec,
        claim="learner.trainBatchSize is at least the number of learner ranks",
        reads=(
            "recipe",
            "learner.trainBatchSize",
            "rl.rolloutBatchSize",
            "rl.groupSize",
            "rl.algorithm",
            "placement.groups",
        ),
        check=_a_sample_for_every_rank,
        cel=f"{_GROUPS}.all(g, !g.roles.exists(r, r in {cel_list(_TRAINED)}) || "
        f"g.nodes * g.devicesPerNode <= {_TRAIN_BATCH})",
    ),
    Rule(
        on=TrainingSpec,
        claim="rollout.tensorParallelSize divides devicesPerNode: an engine lies within a node",
        reads=("placement.groups", "rollout.tensorParallelSize"),
        check=_engines_fit,
        cel=f"{_GROUPS}.all(g, !('Rollout' in g.roles) || g.devicesPerNode % {_TP} == 0)",
    ),
    Rule(
        on=TrainingSpec,
        claim="weightSync.backend CUDAIPC needs every engine in the Policy's group, NCCL none",
        reads=("placement.groups", "weightSync.backend"),
        check=_weights_can_travel,
        cel=f"!has(self.weightSync) || {_GROUPS}.all(g, !('Rollout' in g.roles) || "
        "('Policy' in g.roles ? self.weightSync.backend != 'NCCL' "
        ": self.weightSync.backend != 'CUDAIPC'))",
    ),
)
