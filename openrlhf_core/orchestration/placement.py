"""Reserves the plan's worker groups in Ray and says how to start an actor on one of their nodes.

A worker group is one Ray placement group with a bundle for each node. Actors ask for no resources
of their own: a process takes its devices by number, so that roles may share them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from openrlhf_core.orchestration.collect import Call, Collect
from openrlhf_core.spec.exit_codes import RetryableError
from openrlhf_core.spec.planning.plan import PlannedEngine, PlannedGroup, PlannedRank
from openrlhf_core.spec.run_config import DeviceConfig

RESERVE_TIMEOUT_SECONDS = 1800.0


def group_resource(group_name: str) -> str:
    """Returns the Ray resource that nodes of a worker group offer, one for each device."""
    return f"rlhf-group-{group_name}"


@dataclass(frozen=True)
class Seat:
    """Where one process lives: a node of a worker group, and its devices there by number."""

    group: str
    node: int
    devices: tuple[int, ...]

    @staticmethod
    def of_rank(rank: PlannedRank) -> "Seat":
        return Seat(rank.group, rank.node, (rank.device,))

    @staticmethod
    def of_engine(engine: PlannedEngine) -> "Seat":
        """The seat of an engine's process, which starts a worker for each of its devices."""
        return Seat(engine.group, engine.node, engine.devices)


@dataclass(frozen=True)
class Reservation:
    """Placement groups by worker group, and the CUDA device names of each (group, node)."""

    placement_groups: Mapping[str, PlacementGroup]
    cuda_devices: Mapping[tuple[str, int], Sequence[str]]

    def actor_options(self, seat: Seat, environment: Mapping[str, str]) -> dict[str, Any]:
        """Returns options for `Actor.options(**...)` that put an actor on a seat."""
        return {
            "num_cpus": 0,
            "num_gpus": 0,
            "max_restarts": 0,
            "scheduling_strategy": PlacementGroupSchedulingStrategy(
                placement_group=self.placement_groups[seat.group],
                placement_group_bundle_index=seat.node,
            ),
            "runtime_env": {"env_vars": dict(environment)},
        }

    def visible_devices(self, seat: Seat) -> str | None:
        """Returns CUDA_VISIBLE_DEVICES of a process on a seat; None where devices are CPUs."""
        names = self.cuda_devices.get((seat.group, seat.node))
        return None if names is None else ",".join(names[device] for device in seat.devices)


def bundle(group: PlannedGroup, device: DeviceConfig) -> dict[str, float]:
    """Returns what one node of a worker group must offer."""
    count = float(group.devices_per_node)
    needed = {group_resource(group.name): count} if device.group_resources else {}
    if device.kind == "CUDA":
        needed["GPU"] = count
    return needed or {"CPU": count}


def reserve(groups: Sequence[PlannedGroup], device: DeviceConfig, collect: Collect) -> Reservation:
    """Reserves every worker group and waits until all of their nodes are there."""
    placement_groups = {
        group.name: placement_group([bundle(group, device)] * group.nodes, strategy="PACK")
        for group in groups
    }
    calls = [Call(f"worker group {name}", pg.ready()) for name, pg in placement_groups.items()]
    try:
        collect(calls, timeout_seconds=RESERVE_TIMEOUT_SECONDS)
    except RetryableError as error:
        raise RetryableError(
            f"the cluster does not offer the devices of the plan: {error}. Ray has "
            f"{offered_resources()}; `rlhf plan` prints what is needed"
        ) from error
    names = cuda_device_names(groups, placement_groups, collect) if device.kind == "CUDA" else {}
    return Reservation(placement_groups, names)


def offered_resources() -> str:
    """Returns what the nodes of the Ray cluster have in all, for people to read."""
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return ", ".join(f"{amount:g} {name}" for name, amount in sorted(resources.items()))


def cuda_device_names(
    groups: Sequence[PlannedGroup],
    placement_groups: Mapping[str, PlacementGroup],
    collect: Collect,
) -> dict[tuple[str, int], Sequence[str]]:
    """Asks every reserved node for the names of its CUDA devices, in order."""
    seats = [(group, node) for group in groups for node in range(group.nodes)]
    calls = [
        Call(
            f"node {node} of worker group {group.name}",
            accelerator_names.options(
                num_gpus=group.devices_per_node,
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    placement_group=placement_groups[group.name],
                    placement_group_bundle_index=node,
                ),
            ).remote(),
        )
        for group, node in seats
    ]
    return {
        (group.name, node): names
        for (group, node), names in zip(seats, collect(calls), strict=True)
    }


@ray.remote(num_cpus=0)
def accelerator_names() -> list[str]:
    """Returns the CUDA devices that Ray gave this task, as CUDA_VISIBLE_DEVICES names them."""
    return [str(name) for name in ray.get_runtime_context().get_accelerator_ids()["GPU"]]
