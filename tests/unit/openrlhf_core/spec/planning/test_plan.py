"""Placement: who runs where."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.spec.kinds.placement import PlacementSpec, WorkerGroupSpec
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.plan import Plan, num_engines, plan_hash
from openrlhf_core.spec.planning.resolve import resolve

ALL_ROLES = ["Policy", "Reference", "Rollout"]


def group(name, *roles, nodes=1, devices=1):
    return {"name": name, "roles": list(roles), "nodes": nodes, "devicesPerNode": devices}


@pytest.fixture
def plan_of(make_training):
    def build(*groups, tensor_parallel=1, kl=0.0, sleep="Auto") -> Plan:
        training = make_training(
            placement={"groups": list(groups), "sleep": sleep},
            rollout={"tensorParallelSize": tensor_parallel},
            rl={"algorithm": "GRPO", "kl": {"coefficient": kl}},
        )
        return resolve(training).plan

    return build


def test_without_groups_everything_shares_one_device(make_training):
    plan = resolve(make_training()).plan
    assert plan.num_devices == 1
    assert [(g.name, g.roles, g.takes_turns) for g in plan.groups] == [
        ("all", ("Policy", "Rollout"), True)
    ]
    assert plan.sharing == "all"


def test_an_unneeded_reference_is_ignored_and_said(plan_of):
    plan = plan_of(group("learn", "Policy"), group("spare", "Reference"), group("gen", "Rollout"))
    assert [(i.group, i.role) for i in plan.ignored] == [("spare", "Reference")]
    assert [g.name for g in plan.groups] == ["learn", "gen"]
    assert "Reference" not in plan.ranks


def test_a_needed_reference_has_ranks_of_its_group(plan_of):
    plan = plan_of(
        group("learn", "Policy", "Rollout"), group("ref", "Reference", devices=2), kl=0.1
    )
    assert [(r.rank, r.group, r.device) for r in plan.ranks["Reference"]] == [
        (0, "ref", 0),
        (1, "ref", 1),
    ]
    assert plan.num_devices == 3


def test_every_rank_without_parallel_axes_has_a_data_shard_of_its_own(plan_of):
    plan = plan_of(group("all", *ALL_ROLES, nodes=2, devices=2), kl=0.1)
    for role in ("Policy", "Reference"):
        assert [(r.data, r.sequence, r.tensor) for r in plan.ranks[role]] == [
            (0, 0, 0),
            (1, 0, 0),
            (2, 0, 0),
            (3, 0, 0),
        ]
        assert plan.num_data_shards(role) == 4
    assert plan.num_processes == 12


def test_ranks_that_share_samples_are_one_data_shard(plan_of):
    plan = plan_of(group("all", *ALL_ROLES, devices=4))
    pairs = tuple(
        replace(rank, data=rank.rank // 2, sequence=rank.rank % 2) for rank in plan.ranks["Policy"]
    )
    assert replace(plan, ranks={"Policy": pairs}).num_data_shards("Policy") == 2


def test_a_role_is_in_the_group_of_its_ranks(plan_of):
    plan = plan_of(group("learn", "Policy"), group("gen", "Rollout", "Reference"), kl=0.1)
    assert plan.group_of("Policy") == "learn"
    assert plan.group_of("Reference") == "gen"
    assert [g.takes_turns for g in plan.groups] == [False, True]


def test_a_plan_can_be_a_key(plan_of):
    one, other = (plan_of(group("all", *ALL_ROLES)) for _ in range(2))
    assert len({one, other}) == 1


def test_learner_ranks_count_devices_node_by_node(plan_of):
    plan = plan_of(group("all", *ALL_ROLES, nodes=2, devices=2))
    assert [(r.rank, r.node, r.device) for r in plan.ranks["Policy"]] == [
        (0, 0, 0),
        (1, 0, 1),
        (2, 1, 0),
        (3, 1, 1),
    ]


def test_small_engines_lie_within_a_node(plan_of):
    plan = plan_of(group("all", *ALL_ROLES, nodes=2, devices=4), tensor_parallel=2)
    assert [(e.index, e.node, e.devices) for e in plan.engines] == [
        (0, 0, (0, 1)),
        (1, 0, (2, 3)),
        (2, 1, (0, 1)),
        (3, 1, (2, 3)),
    ]


def test_an_engine_over_several_nodes_is_refused(plan_of):
    learn, generate = group("learn", "Policy"), group("gen", "Rollout", nodes=4, devices=2)
    with pytest.raises(ValueError, match=r"tensorParallelSize is 4: .* nodes of 2 devices"):
        plan_of(learn, generate, tensor_parallel=4)


def test_engines_of_several_groups_are_numbered_through(plan_of):
    plan = plan_of(group("learn", "Policy", "Rollout"), group("gen", "Rollout", devices=2))
    assert [(e.index, e.group) for e in plan.engines] == [(0, "learn"), (1, "gen"), (2, "gen")]
    assert plan.sharing == "some"


def test_nobody_takes_turns_when_sleep_is_never(plan_of):
    assert not plan_of(group("all", *ALL_ROLES), sleep="Never").groups[0].takes_turns


def test_an_engine_that_does_not_fit_is_refused(plan_of):
    with pytest.raises(ValueError, match="tensorParallelSize is 3"):
        plan_of(group("all", *ALL_ROLES, devices=4), tensor_parallel=3)


def test_a_missing_or_doubled_policy_is_refused(plan_of):
    with pytest.raises(ValueError, match="0 groups list the role Policy"):
        plan_of(group("all", "Rollout"))
    with pytest.raises(ValueError, match="2 groups list the role Policy"):
        plan_of(group("one", "Policy"), group("two", "Policy", "Rollout"))
    with pytest.raises(ValueError, match="no group lists the role Rollout"):
        plan_of(group("one", "Policy"))


def test_the_hash_tells_plans_apart_and_nothing_else(plan_of, make_training):
    one = plan_of(group("all", *ALL_ROLES, devices=2))
    assert plan_hash(one) == plan_hash(plan_of(group("all", *ALL_ROLES, devices=2)))
    assert plan_hash(one) != plan_hash(plan_of(group("all", *ALL_ROLES, devices=4)))
    assert plan_hash(resolve(make_training(seed=1)).plan) == plan_hash(
        resolve(make_training(seed=2)).plan
    )


@given(st.integers(1, 12), st.integers(1, 16), st.integers(1, 64))
def test_engines_use_every_device_exactly_once(nodes, devices, size):
    spec = WorkerGroupSpec(
        name="g", roles=("Policy", "Rollout"), nodes=nodes, devices_per_node=devices
    )
    count = num_engines(spec, size)
    if count == 0:
        assert devices % size != 0
        return
    training = make_minimal(PlacementSpec(groups=(spec,)), size)
    used = [(e.node, d) for e in resolve(training).plan.engines for d in e.devices]
    assert sorted(used) == [(n, d) for n in range(nodes) for d in range(devices)]
    assert count * size == nodes * devices


def make_minimal(placement, size):
    return TrainingSpec.from_manifest(
        {
            "recipe": "RL",
            "model": {"policy": {"source": "m"}},
            "reward": {"functions": [{"source": "r.py"}]},
            "data": {"train": [{"source": "d"}]},
            "rl": {"algorithm": "GRPO"},
            "maxSteps": 1,
            "placement": placement.to_manifest(),
            "rollout": {"tensorParallelSize": size},
        }
    )
