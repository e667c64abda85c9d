"""Placement: which ranks and engines run on which device. Computed once, from the spec alone.

The core turns a plan into Ray placement groups and actors, the operator into worker groups of a
RayCluster.
`openrlhf_core.spec.planning.resolve` makes the plan of a spec that
`openrlhf_core.spec.reading.validate` found no problem in.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from openrlhf_core.spec.kinds.placement import PlacementSpec, Role, WorkerGroupSpec
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.roles import NeededRole, why_not_needed

Sharing = Literal["all", "some", "none"]


@dataclass(frozen=True)
class PlannedGroup:
    """Nodes with equal numbers of devices: one Ray placement group, one set of pods."""

    name: str
    nodes: int
    devices_per_node: int
    roles: tuple[Role, ...]
    """Needed roles whose processes run here, in the order of `roles_of`."""
    takes_turns: bool
    """Whether engines share the devices with other roles, and each sleeps while another works."""

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
    """One process of a trained or frozen role, on one device.

    `data`, `sequence` and `tensor` are its coordinates in the role's mesh, from 0: ranks with equal
    `data` work on the same samples. The sequence and tensor axes have size 1.
    """

    rank: int
    group: str
    node: int
    device: int
    """Number of the device on its node, from 0."""
    data: int
    sequence: int
    tensor: int


@dataclass(frozen=True)
class PlannedEngine:
    """One generation engine, on devices of one node of its group."""

    index: int
    group: str
    node: int
    devices: tuple[int, ...]
    """Numbers of its devices on the node."""

    @property
    def tensor_parallel_size(self) -> int:
        return len(self.devices)


@dataclass(frozen=True)
class Plan:
    """Which processes run on which devices. Made by `make_plan`."""

    groups: tuple[PlannedGroup, ...]
    """Groups with a needed role, in the manifest's order."""
    ranks: Mapping[Role, tuple[PlannedRank, ...]] = field(hash=False)
    """The processes of each trained and each frozen role; a role that is not needed is absent."""
    engines: tuple[PlannedEngine, ...]
    ignored: tuple[IgnoredRole, ...]

    @property
    def num_devices(self) -> int:
        return sum(group.num_devices for group in self.groups)

    @property
    def num_processes(self) -> int:
        """Ranks of all roles, and engines."""
        return sum(len(ranks) for ranks in self.ranks.values()) + len(self.engines)

    @property
    def sharing(self) -> Sharing:
        """Whether all, some or none of the engines share devices with the policy."""
        shared = [engine.group == self.group_of("Policy") for engine in self.engines]
        return "all" if all(shared) else "some" if any(shared) else "none"

    def group_of(self, role: Role) -> str:
        """Name of the worker group of a trained or frozen role. KeyError where it has no ranks."""
        return self.ranks[role][0].group

    def num_data_shards(self, role: Role) -> int:
        """Number of parts that a batch is split into over the ranks of a role."""
        return len({rank.data for rank in self.ranks[role]})


def make_plan(training: TrainingSpec, roles: Sequence[NeededRole]) -> Plan:
    """The placement that a valid training spec asks for. ValueError when it asks for none."""
    groups = tuple(_planned_groups(training.placement, roles))
    engine_size = training.rollout.tensor_parallel_size if training.rollout else 1
    return Plan(
        groups=groups,
        ranks={
            needed.role: _ranks(_group_of(needed.role, groups))
            for needed in roles
            if needed.kind != "Engine"
        },
        engines=tuple(
            engine
            for needed in roles
            if needed.kind == "Engine"
            for engine in _engines(needed.role, groups, engine_size)
        ),
        ignored=tuple(_ignored_roles(training)),
    )


def plan_hash(plan: Plan) -> str:
    """Equal for equal plans: 16 hexadecimal digits."""
    text = json.dumps(asdict(plan), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def num_engines(group: WorkerGroupSpec | PlannedGroup, tensor_parallel_size: int) -> int:
    """Number of engines of a group; 0 if they cannot fill its nodes, one node each."""
    engines_per_node, rest = divmod(group.devices_per_node, tensor_parallel_size)
    return 0 if rest else group.nodes * engines_per_node


def _planned_groups(
    placement: PlacementSpec, roles: Sequence[NeededRole]
) -> Iterator[PlannedGroup]:
    for group in placement.groups:
        here = [needed for needed in roles if needed.role in group.roles]
        if here:
            is_shared = len(here) > 1 and any(needed.kind == "Engine" for needed in here)
            yield PlannedGroup(
                name=group.name,
                nodes=group.nodes,
                devices_per_node=group.devices_per_node,
                roles=tuple(needed.role for needed in here),
                takes_turns=is_shared and placement.sleep == "Auto",
            )


def _ignored_roles(training: TrainingSpec) -> Iterator[IgnoredRole]:
    for group in training.placement.groups:
        for role in group.roles:
            reason = why_not_needed(training, role)
            if reason is not None:
                yield IgnoredRole(group.name, role, reason)


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
        PlannedRank(rank, group.name, node, device, data=rank, sequence=0, tensor=0)
        for rank, (node, device) in enumerate(seats)
    )


def _engines(role: Role, groups: tuple[PlannedGroup, ...], size: int) -> tuple[PlannedEngine, ...]:
    seats = [
        (group.name, *_engine_seat(group, size, number))
        for group in groups
        if role in group.roles
        for number in range(_engines_or_error(group, size))
    ]
    if not seats:
        raise ValueError(f"training.placement.groups: no group lists the role {role}; add it")
    return tuple(PlannedEngine(index, *seat) for index, seat in enumerate(seats))


def _engines_or_error(group: PlannedGroup, size: int) -> int:
    count = num_engines(group, size)
    if not count:
        raise ValueError(
            f"training.rollout.tensorParallelSize is {size}: engines of this size do not fill "
            f"nodes of {group.devices_per_node} devices, as group {group.name!r} has them"
        )
    return count


def _engine_seat(group: PlannedGroup, size: int, number: int) -> tuple[int, tuple[int, ...]]:
    """Node and devices of a group's engine by its number in the group."""
    node, place = divmod(number, group.devices_per_node // size)
    return node, tuple(range(place * size, (place + 1) * size))
