"""Owners who edit status, labels and children: nothing that is not the job's is asked or deleted,
and the job can be suspended and deleted all the same."""

import base64
import copy
from typing import Any

import pytest

from rlhf_operator.clients.kubernetes import PODS, RAY_CLUSTERS, SECRETS, SERVICES

LONG_AGO = "2020-01-01T00:00:00Z"
FUTURE = "2999-01-01T00:00:00Z"
OTHER = "victim-11111-1"


def foreign_cluster(world: Any, name: str = OTHER, **labels: str) -> None:
    """A RayCluster of somebody else, with a token."""
    metadata = {"name": name, "namespace": "team-a", "labels": labels, "uid": "victim"}
    world.kubernetes.put(
        RAY_CLUSTERS, "team-a", {"metadata": metadata, "spec": {"workerGroupSpecs": []}}
    )
    owner = {"ownerReferences": [{"uid": "victim", "controller": True}]}
    token = base64.b64encode(b"theirs").decode()
    secret = {"metadata": {"name": name, **owner}, "data": {"auth_token": token}}
    world.kubernetes.put(SECRETS, "team-a", secret)


EDITS = [
    {"rayCluster": {"name": OTHER, "uid": "victim"}},
    {"rayCluster": {"name": "../../x"}},
    {"rayCluster": "demo"},
    {"attempt": {"number": 1, "rayClusterName": OTHER, "submissionId": "demo-1"}},
    {"attempt": {"number": 1, "submissionId": "../../api/cluster_status"}},
    {"attempt": {"number": 2_000_000_000}},
    {"attempt": {"number": 0}},
    {"attempt": {"number": 1, "stopTime": FUTURE, "stopReason": "Suspended"}},
    {"attempt": {"number": 1, "startTime": "the day before yesterday"}},
    {"attempt": None},
    {"activeSeconds": 2_147_483_647, "preemptions": 2_147_483_647, "restarts": 2_147_483_647},
    {"conditions": [{"type": "Running", "status": "True", "reason": "x y"}]},
    {"conditions": None, "phase": "Succeeded"},
    {"failures": [{"time": "never", "reason": "X"}] * 5},
    {"progress": {"step": 5}, "metrics": [{"name": "x"}]},
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: str(edit)[:60])
@pytest.mark.parametrize("wish", ["suspend", "delete"])
def test_no_edit_of_the_status_keeps_a_job_alive_or_hurts_another(
    make_world: Any, play: Any, edit: Any, wish: str
) -> None:
    world = make_world(lifecycle={"gracePeriodSeconds": 1, "backoffLimit": 3})
    foreign_cluster(world)

    async def story(operator: Any) -> None:
        await operator.run(6)
        status = world.job["status"]
        for name, value in edit.items():
            status[name] = {**status[name], **value} if name == "attempt" and value else value
        if wish == "suspend":
            world.job["spec"]["suspend"] = True
        else:
            world.job["metadata"]["deletionTimestamp"] = LONG_AGO
        await operator.run(12)

    play(world, story)
    (left,) = world.kubernetes.kind("rayclusters")
    assert left["metadata"]["name"] == OTHER
    if wish == "delete":
        assert world.kubernetes.kind("rlhfjobs") == []
    else:
        assert world.status["phase"] in ("Suspended", "Failed", "Succeeded")


def test_a_stop_that_is_put_off_for_ever_ends_all_the_same(make_world: Any, play: Any) -> None:
    world = make_world(lifecycle={"gracePeriodSeconds": 1})

    async def story(operator: Any) -> None:
        await operator.run(6)
        world.stubborn = True
        world.job["spec"]["suspend"] = True
        await operator.run(1)
        for _ in range(8):
            attempt = world.job["status"]["attempt"]
            if "stopTime" in attempt:
                attempt["stopTime"] = FUTURE
            operator.turn_clock(10)
            await operator.run(1)

    play(world, story)
    assert world.kubernetes.kind("rayclusters") == []
    assert world.status["phase"] == "Suspended"


def test_wrong_parts_of_a_status_are_said_and_put_right(make_world: Any, play: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(6)
        world.job["status"]["attempt"]["submissionId"] = "somebody-else-1"
        world.job["status"]["restarts"] = -4
        await operator.run(1)
        assert world.condition("Degraded") == ("True", "WrongStatus")
        assert "restarts is -4" in world.message("Degraded")
        await operator.run(2)

    play(world, story)
    assert world.status["attempt"]["submissionId"] == "demo-1"
    assert world.condition("Degraded") == ("False", "AsExpected")
    assert world.submissions == ["demo-1"]


@pytest.mark.parametrize("name", ["demo-0f1e2-7", "theirs", OTHER])
def test_a_cluster_that_only_bears_the_labels_is_left_alone(
    make_world: Any, play: Any, build: Any, name: str
) -> None:
    world = make_world()
    labels = {"openrlhf.io/job": "demo", "openrlhf.io/job-uid": build.uid}
    foreign_cluster(world, name, **labels)

    async def story(operator: Any) -> None:
        await operator.run(6)
        assert world.submissions == ["demo-1"]
        world.job["metadata"]["deletionTimestamp"] = LONG_AGO
        await operator.run(3)

    play(world, story)
    assert [left["metadata"]["name"] for left in world.kubernetes.kind("rayclusters")] == [name]


def test_a_pod_that_only_bears_the_labels_holds_nothing_up(
    make_world: Any, play: Any, build: Any
) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(6)
        (head,) = [p for p in world.kubernetes.kind("pods") if "headgroup" in p["metadata"]["name"]]
        stray = copy.deepcopy(head)
        stray["metadata"] |= {"name": "stray", "uid": "stray", "ownerReferences": []}
        world.kubernetes.put(PODS, "team-a", stray)
        world.job["spec"]["suspend"] = True
        await operator.run(8)

    play(world, story)
    assert world.status["phase"] == "Suspended"


@pytest.mark.parametrize("kind", [SECRETS, SERVICES], ids=lambda kind: kind.plural)
def test_a_token_or_service_of_somebody_else_is_not_used(
    make_world: Any, play: Any, kind: Any
) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(1)
        for name in ("demo-0f1e2-1", "demo-0f1e2-1-head-svc"):
            theirs = {"metadata": {"name": name}, "data": {"auth_token": "eA=="}}
            world.kubernetes.put(kind, "team-a", theirs)
        await operator.run(5)

    play(world, story)
    assert world.submissions == []
    assert "does not belong to the RayCluster" in world.message("Running")


def test_a_service_that_leads_out_of_the_cluster_is_not_used(make_world: Any, play: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(2)
        for service in world.kubernetes.kind("services"):
            service["spec"] = {"type": "ExternalName", "externalName": "metadata.internal"}
        await operator.run(3)

    play(world, story)
    assert world.submissions == []
    assert "leads out of the cluster" in world.message("Running")


def test_the_service_is_not_taken_from_a_status(make_world: Any, play: Any) -> None:
    world = make_world()
    hosts: list[str] = []

    async def story(operator: Any) -> None:
        operator.on_locate = hosts.append
        await operator.run(3)
        for cluster in world.kubernetes.kind("rayclusters"):
            cluster["status"] = {"head": {"serviceName": "metadata.internal/"}}
        await operator.run(4)

    play(world, story)
    assert set(hosts) == {"demo-0f1e2-1-head-svc.team-a.svc"}
