"""`training.placement` and `training.weightSync`: which roles share which devices."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import PositiveFloat, SpecModel
from openrlhf_core.spec.kinds.rule import Rule, Violation

HEAD_GROUP = "head"
"""Name of the Ray head in `cluster.groups`."""
Role = Literal["Policy", "Reference", "Rollout"]
GroupName = Annotated[
    str, Field(min_length=1, max_length=20, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
]


class WorkerGroupSpec(SpecModel):
    """Equal nodes with equal numbers of devices, shared by the roles named."""

    name: GroupName = Field(
        description="Name of the group and of the RayCluster worker group. Not `head`."
    )
    roles: Annotated[tuple[Role, ...], Field(min_length=1, max_length=6)] = Field(
        description="Roles whose processes live here and take turns on the devices.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    nodes: Annotated[int, Field(ge=1, le=4096)] = Field(1, description="Nodes of the group.")
    devices_per_node: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Devices of each node: GPUs, or what the runtime calls a device."
    )


class PlacementSpec(SpecModel):
    """Roles to worker groups."""

    groups: Annotated[tuple[WorkerGroupSpec, ...], Field(min_length=1, max_length=16)] = Field(
        (WorkerGroupSpec(name="all", roles=("Policy", "Reference", "Rollout")),),
        description="Worker groups. Every role that the recipe needs is in exactly one, Rollout "
        "in one or more. Default: one group `all` of one device.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    sleep: Literal["Auto", "Never"] = Field(
        "Auto",
        description="Auto: roles that share a group release device memory while another works.",
    )


class WeightSyncSpec(SpecModel):
    """How new weights reach the engines."""

    backend: Literal["Auto", "NCCL", "CUDAIPC", "Gloo"] = Field(
        "Auto",
        description="Auto: CUDAIPC when every engine shares its devices with the learner, NCCL on "
        "other CUDA placements, Gloo on CPU.",
    )
    bucket_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 34)] = Field(
        1 << 28,
        description="Weights travel in buckets of at most this size (a larger tensor goes alone).",
    )
    timeout_seconds: PositiveFloat = Field(
        600.0, description="A sync that takes longer ends the attempt (exit code 10)."
    )


def _no_group_named_head(placement: PlacementSpec) -> Iterator[Violation]:
    for index, group in enumerate(placement.groups):
        if group.name == HEAD_GROUP:
            yield Violation(
                ("groups", index, "name"),
                "is head, the name of the Ray head's own group",
                "take another name",
            )


RULES: tuple[Rule, ...] = (
    Rule(
        on=PlacementSpec,
        claim="no group is named head",
        reads=("groups",),
        check=_no_group_named_head,
        cel=f"self.groups.all(g, g.name != '{HEAD_GROUP}')",
    ),
)
