"""What the operator may ask is exactly what it asks: seen over whole lives of jobs."""

from typing import Any

from rlhf_operator.clients.kubernetes import CLAIMS, CONFIG_MAPS, RUNTIMES
from rlhf_operator.clients.permissions import PERMISSIONS

VERBS = {
    "get": ("get",),
    "list": ("list",),
    "create": ("create",),
    "dry-run": ("create",),
    "apply": ("create", "patch"),
    "patch": ("patch",),
    "delete": ("delete",),
}
WATCHED = {
    (kind, verb)
    for kind in ("rlhfjobs", "rayclusters", "pods", "customresourcedefinitions")
    for verb in ("list", "watch")
}
"""Watches of kopf and the lists beside them; the definitions tell it of a KubeRay that comes."""

CHECKED_BY_THE_SERVER = {("rlhfjobs/finalizers", "update")}
"""Asked by the server of whoever makes a child that blocks its owner's deletion."""


def asked(world: Any) -> set[tuple[str, str]]:
    """Resource and verb of every request of a world's operator."""
    found: set[tuple[str, str]] = set()
    for call, kind in world.kubernetes.calls:
        if call == "status":
            found.add((f"{kind}/status", "patch"))
        else:
            found |= {(kind, verb) for verb in VERBS[call]}
    return found


def test_what_may_be_asked_is_what_is_asked(make_world: Any, play: Any, build: Any) -> None:
    whole = make_world(
        lifecycle={"ttlSecondsAfterFinished": 0, "cleanup": {"onSuccess": "DeleteWorkers"}},
        runtimeRef={"name": "own", "kind": "RLHFRuntime"},
        training={"reward": {"functions": [{"source": "configmap://rewards/r.py"}]}},
    )
    whole.kubernetes.put(
        RUNTIMES, "team-a", {"metadata": {"name": "own"}, "spec": build.runtime().to_manifest()}
    )
    rewards = {"metadata": {"name": "rewards"}, "data": {"r.py": ""}}
    whole.kubernetes.put(CONFIG_MAPS, "team-a", rewards)

    async def to_the_end(operator: Any) -> None:
        await operator.run(5)
        whole.drivers["demo-1"] = {"status": "SUCCEEDED", "driver_exit_code": 0}
        await operator.run(6)

    play(whole, to_the_end)
    broken = make_world(storage={"output": {"claimName": "mine"}})
    broken.kubernetes.put(CLAIMS, "team-a", {"metadata": {"name": "mine"}, "spec": {}})

    async def through_a_failure(operator: Any) -> None:
        await operator.run(5)
        broken.drivers["demo-1"] = {"status": "FAILED", "driver_exit_code": 2}
        await operator.run(5)

    play(broken, through_a_failure)
    waiting = make_world()

    async def with_mute_pods_and_a_cluster_that_goes(operator: Any) -> None:
        await operator.run(3)
        for pod in waiting.kubernetes.kind("pods"):
            pod["status"] = {}
        await operator.run(2)
        (cluster,) = waiting.kubernetes.kind("rayclusters")
        del waiting.kubernetes.objects["rayclusters", "team-a", cluster["metadata"]["name"]]
        await operator.run(1)

    play(waiting, with_mute_pods_and_a_cluster_that_goes)
    seen = asked(whole) | asked(broken) | asked(waiting) | WATCHED | CHECKED_BY_THE_SERVER
    allowed = [
        (resource, verb)
        for permission in PERMISSIONS
        for resource in permission.resources
        for verb in permission.verbs
    ]
    assert sorted(allowed) == sorted(seen)
