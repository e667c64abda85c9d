"""Lists beside watches: they fill, they heal, and they tell when watches miss changes."""

import asyncio
from typing import Any

import pytest

from rlhf_operator import refresh
from rlhf_operator.cache import Cache, JobKey
from rlhf_operator.clients.api_errors import NoSuchKind
from rlhf_operator.clients.kubernetes import Resource
from rlhf_operator.health import Health

KEY = JobKey("team-a", "demo")


def raw(kind: str, version: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": "demo",
        "namespace": "team-a",
        "uid": kind,
        "resourceVersion": str(version),
        "labels": {"openrlhf.io/job": "demo"},
    }
    return {"metadata": metadata}


class FakeLists:
    """Lists what it holds; a kind that it does not hold is not served."""

    def __init__(self) -> None:
        self.listed = {kind: [raw(kind, 1)] for kind in ("rlhfjobs", "rayclusters", "pods")}

    async def list_all(self, resource: Resource, namespace: str | None, **_: str) -> Any:
        if resource.plural not in self.listed:
            raise NoSuchKind(404, "NotFound", resource.plural)
        return self.listed[resource.plural]


class FakeQueue:
    def __init__(self) -> None:
        self.woken: list[JobKey] = []

    def wake(self, key: JobKey) -> None:
        self.woken.append(key)


def make(lists: FakeLists) -> tuple[refresh.Refresher, Cache, FakeQueue, Health]:
    cache, queue, health = Cache(), FakeQueue(), Health(60, lambda: 0.0)
    made = refresh.Refresher(lists, cache, queue, health, (), settle_seconds=0)  # type: ignore[arg-type]
    return made, cache, queue, health


def test_the_first_list_fills_the_cache_and_wakes_every_job() -> None:
    refresher, cache, queue, _ = make(FakeLists())
    asyncio.run(refresher.fill())
    assert cache.job(KEY) is not None
    assert len(cache.children("pods", KEY)) == 1
    assert queue.woken == [KEY]


def test_a_kind_that_is_not_served_yet_is_no_error() -> None:
    lists = FakeLists()
    del lists.listed["rayclusters"]
    refresher, cache, _, _ = make(lists)
    asyncio.run(refresher.fill())
    assert cache.children("rayclusters", KEY) == []


def test_a_change_that_a_watch_missed_is_taken_over_and_told_when_it_happens_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lists = FakeLists()
    refresher, cache, queue, health = make(lists)
    asyncio.run(refresher.fill())
    queue.woken.clear()
    for version in (2, 3):
        lists.listed["pods"] = [raw("pods", version)]
        asyncio.run(refresher.heal())
        (pod,) = cache.children("pods", KEY)
        assert pod["metadata"]["resourceVersion"] == str(version)
    assert queue.woken == [KEY, KEY]
    assert "missed a change" in caplog.text
    assert len(health.troubles()) == 1
    asyncio.run(refresher.heal())
    assert health.troubles() == []


def test_a_pod_that_is_gone_is_dropped_and_its_job_woken() -> None:
    lists = FakeLists()
    refresher, cache, queue, _ = make(lists)
    asyncio.run(refresher.fill())
    queue.woken.clear()
    lists.listed["pods"] = []
    asyncio.run(refresher.heal())
    assert cache.children("pods", KEY) == []
    assert queue.woken == [KEY]


def test_a_job_that_goes_while_the_lists_settle_stays_gone() -> None:
    lists = FakeLists()
    refresher, cache, queue, _ = make(lists)
    asyncio.run(refresher.fill())
    queue.woken.clear()

    async def inside() -> None:
        healing = asyncio.create_task(refresher.heal())
        await asyncio.sleep(0)
        cache.drop_job(raw("rlhfjobs", 1))
        await healing

    asyncio.run(inside())
    assert cache.job(KEY) is None
    assert queue.woken == []
