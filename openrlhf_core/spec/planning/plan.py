"""Placement: roles -> worker groups -> nodes -> devices. Computed once, here, from the spec alone.

The core makes Ray placement groups and actors of it, the operator RayCluster worker groups. A plan
is made of a spec that `openrlhf_core.spec.reading.validate` found no problem in.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from openrlhf_core.spec.kinds.placement import PlacementSpec, Role, WorkerGroupSpec
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.presets import resolve_rl

Sharing = Literal["all", "some", "none"]


@dataclass(frozen=True)
class PlannedGroup:
    """Equal nodes with equal numbers of devices: one Ray placement group, one set of pods."""

    name: str
    nodes: int
    devices_per_node: int
    roles: tuple[Role, ...]
    """Roles that live here and are needed, in the order Policy, Reference, Rollout."""
    takes_turns: bool
    """Whether a learner and an engine share the devices and sleep while the other works."""

    @property
    def num_devices(self) -> int:
        return self.nodes * self.devices_per_node


@dataclass(frozen=True)
class IgnoredRole:
    """A role that a manifest lists and its recipe does not need."""

    group: str
    role: Role
    reason: str


@dataclass(frozen=True)
class PlannedRank:
    """One process of the learner or the reference, on one device."""

    rank: int
    group: str
    node: int
    device: int
    """Number of the device on its node, from 0."""


@dataclass(frozen=True)
class PlannedEngine:
    """One generation engine: `devices` (by number) on each of its `nodes`."""

    index: int
    group: str
    nodes: tuple[int, ...]
    devices: tuple[int, ...]
    """Devices on each node: some of one node's, or all of several nodes'."""

    @property
    def tensor_parallel_size(self) -> int:
        return len(self.nodes) * len(self.devices)


@dataclass(frozen=True)
class Plan:
    """Who runs where. Made by `make_plan`."""

    groups: tuple[PlannedGroup, ...]
    """Groups with a needed role, in the manifest's order."""
    learner_ranks: tuple[PlannedRank, ...]
    reference_ranks: tuple[PlannedRank, ...]
    """Empty when no reference is loaded."""
    engines: tuple[PlannedEngine, ...]
    ignored: tuple[IgnoredRole, ...]

    @property
    def num_devices(self) -> int:
        return sum(group.num_devices for group in self.groups)

    @property
    def policy_group(self) -> str:
        return self.learner_ranks[0].group

    @property
    def sharing(self) -> Sharing:
        """How many of the engines share their devices with learner ranks."""
        shared = [engine.group == self.policy_group for engine in self.engines]
        return "all" if all(shared) else "some" if any(shared) else "none"


def needed_roles(training: TrainingSpec) -> tuple[Role, ...]:
    """Roles that the recipe needs: a reference only when the KL coefficient is not 0."""
    if resolve_rl(training.rl).kl.needs_reference:
        return ("Policy", "Reference", "Rollout")
    return ("Policy", "Rollout")


def make_plan(training: TrainingSpec) -> Plan:
    """The placement that a valid training spec asks for. ValueError when it asks for none."""
    needed = needed_roles(training)
    groups = tuple(_planned_groups(training.placement, needed))
    engine_size = training.rollout.tensor_parallel_size
    return Plan(
        groups=groups,
        learner_ranks=_ranks(_group_of("Policy", groups)),
        reference_ranks=_ranks(_group_of("Reference", groups)) if "Reference" in needed else (),
        engines=_engines(groups, engine_size),
        ignored=tuple(_ignored_roles(training.placement, needed)),
    )


def plan_hash(plan: Plan) -> str:
    """Equal for equal plans: 16 hexadecimal digits."""
    text = json.dumps(asdict(plan), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def num_engines(group: WorkerGroupSpec | PlannedGroup, tensor_parallel_size: int) -> int:
    """Engines that fill a group; 0 when none fits: an engine lies in a node or fills nodes."""
    if group.devices_per_node % tensor_parallel_size == 0:
        return group.nodes * (group.devices_per_node // tensor_parallel_size)
    nodes_each, rest = divmod(tensor_parallel_size, group.devices_per_node)
    return 0 if rest or group.nodes % nodes_each else group.nodes // nodes_each


def _planned_groups(placement: PlacementSpec, needed: tuple[Role, ...]) -> Iterator[PlannedGroup]:
    for group in placement.groups:
        roles = tuple(role for role in needed if role in group.roles)
        if roles:
            is_shared = "Rollout" in roles and len(roles) > 1
            yield PlannedGroup(
                name=group.name,
                nodes=group.nodes,
                devices_per_node=group.devices_per_node,
                roles=roles,
                takes_turns=is_shared and placement.sleep == "Auto",
            )


def _ignored_roles(placement: PlacementSpec, needed: tuple[Role, ...]) -> Iterator[IgnoredRole]:
    for group in placement.groups:
        for role in group.roles:
            if role not in needed:
                yield IgnoredRole(group.name, role, "rl.kl.coefficient is 0")


def _group_of(role: Role, groups: tuple[PlannedGroup, ...]) -> PlannedGroup:
    found = [group for group in groups if role in group.roles]
    if len(found) != 1:
        raise ValueError(
            f"training.placement.groups: {len(found)} groups list the role {role}; "
            "name it in exactly one"
        )
    return found[0]


def _ranks(group: PlannedGroup) -> tuple[PlannedRank, ...]:
    seats = [(node, d) for node in range(group.nodes) for d in range(group.devices_per_node)]
    return tuple(
        PlannedRank(rank, group.name, node, device) for rank, (node, device) in enumerate(seats)
    )


def _engines(groups: tuple[PlannedGroup, ...], size: int) -> tuple[PlannedEngine, ...]:
    seats = [
        (group.name, *_engine_seat(group, size, number))
        for group in groups
        if "Rollout" in group.roles
        for number in range(_engines_or_error(group, size))
    ]
    if not seats:
        raise ValueError("training.placement.groups: no group lists the role Rollout; add it")
    return tuple(PlannedEngine(index, *seat) for index, seat in enumerate(seats))


def _engines_or_error(group: PlannedGroup, size: int) -> int:
    count = num_engines(group, size)
    if not count:
        raise ValueError(
            f"training.rollout.tensorParallelSize is {size}: engines neither divide nor fill "
            f"nodes of {group.devices_per_node} devices of group {group.name!r}"
        )
    return count


def _engine_seat(
    group: PlannedGroup, size: int, number: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Nodes, and devices on each of them, of a group's engine by its number in the group."""
    if size > group.devices_per_node:
        nodes_each = size // group.devices_per_node
        nodes = range(number * nodes_each, (number + 1) * nodes_each)
        return tuple(nodes), tuple(range(group.devices_per_node))
    node, place = divmod(number, group.devices_per_node // size)
    return (node,), tuple(range(place * size, (place + 1) * size))
