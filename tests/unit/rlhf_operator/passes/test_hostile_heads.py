"""Heads that say nonsense: it is left out and said, and the job can be suspended and deleted."""

import asyncio
import json
import time
from typing import Any

import pytest
from aiohttp import web

from rlhf_operator import observe_head
from rlhf_operator.clients import head_http

NESTED = b"[" * 200_000 + b"]" * 200_000
LATER = "2100-01-01T00:00:00Z"
LONG_AGO = "2020-01-01T00:00:00Z"


def answering(path: str, answer: Any) -> Any:
    """A head that answers a path with an object, with bytes, or by a function."""

    async def hostile(request: web.Request) -> web.StreamResponse | None:
        if request.path != path:
            return None
        if callable(answer):
            said: web.StreamResponse = await answer(request)
            return said
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return web.Response(body=body, content_type="application/json")

    return hostile


async def drip(request: web.Request) -> web.StreamResponse:
    """A byte a while, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(1000):
        await response.write(b" ")
        await asyncio.sleep(0.05)
    return response


async def flood(request: web.Request) -> web.StreamResponse:
    """A gigabyte."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(1024):
        await response.write(b"x" * 2**20)
    return response


async def elsewhere(request: web.Request) -> web.StreamResponse:
    """Sends the operator to the cloud's metadata."""
    raise web.HTTPFound("http://169.254.169.254/latest/meta-data/")


def progress_with(build: Any, **wrong: Any) -> Any:
    said = build.progress(checkpoint={"step": 2, "path": "checkpoints/a", "time": 1.0}).model_dump(
        mode="json", by_alias=True
    )
    return said | wrong


NONSENSE = [
    {"step": -1},
    {"step": 3e9},
    {"step": "3"},
    {"step": 10**400},
    {"estimatedRemainingSeconds": 3e9},
    {"estimatedRemainingSeconds": -5},
    {"metrics": {"x" * 300: 1.0, "reward/mean": 0.25}},
    {"metrics": {"a\nb": 1.0}},
    {"metrics": {"reward/mean": "high"}},
    {"metrics": [1]},
    {"checkpoint": {"step": 2, "path": "x" * 2000, "time": 1.0}},
    {"checkpoint": {"step": 2, "path": "a", "time": 1e300}},
    {"checkpoint": {"step": -2, "path": "a", "time": 1.0}},
    {"checkpointCount": 2**40},
    {"versions": {str(number): "1" for number in range(100)}},
    {"versions": {"ray": "x" * 1000}},
    {"samplesPerSecond": 1e300},
    {"resumedFromStep": -3},
    {"lastUpdateTime": 1e18},
    {"lastUpdateTime": -1},
    {"phase": "boredom"},
    {"attempt": 2**31},
    {"attempt": None},
]


@pytest.mark.parametrize("wrong", NONSENSE, ids=lambda wrong: str(wrong)[:40])
def test_nonsense_of_a_driver_is_left_out_and_said(
    make_world: Any, play: Any, build: Any, wrong: Any
) -> None:
    world = make_world(suspend=False)

    async def story(operator: Any) -> None:
        await operator.run(5)
        world.hostile = answering("/progress", progress_with(build, **wrong))
        await operator.run(2)
        assert world.status["phase"] == "Running"
        assert world.condition("Degraded") == ("True", "WrongAnswer")
        assert next(iter(wrong)) in world.message("Degraded")
        world.hostile = answering("/progress", progress_with(build))
        await operator.run(2)
        assert world.condition("Degraded") == ("False", "AsExpected")
        assert world.status["progress"]["step"] == 3

    play(world, story)


@pytest.mark.parametrize(
    "answer",
    [NESTED, b"[]", b"3", b"\xff\xfe", b"null", b'{"step": ', drip, flood, elsewhere],
    ids=["nested", "list", "number", "no-text", "null", "cut", "drip", "flood", "redirect"],
)
@pytest.mark.parametrize("path", ["/progress", "/api/jobs/demo-1", "/api/jobs/demo-1/logs"])
def test_no_answer_keeps_a_job_from_being_suspended_and_deleted(
    make_world: Any, play: Any, monkeypatch: pytest.MonkeyPatch, path: str, answer: Any
) -> None:
    monkeypatch.setattr(head_http, "TIMEOUT_SECONDS", 0.3)
    world = make_world(lifecycle={"gracePeriodSeconds": 1})

    async def story(operator: Any) -> None:
        await operator.run(5)
        world.hostile = answering(path, answer)
        await operator.run(2)
        world.job["spec"]["suspend"] = True
        await operator.run(6)
        assert world.kubernetes.kind("rayclusters") == []
        assert world.status["phase"] == "Suspended"
        world.job["metadata"]["deletionTimestamp"] = LATER
        await operator.run(2)

    play(world, story)
    assert world.kubernetes.kind("rlhfjobs") == []


@pytest.mark.parametrize("path", ["/progress", "/api/jobs/demo-1", "/api/jobs/demo-1/stop"])
def test_no_answer_holds_up_the_deletion_of_a_running_job(
    make_world: Any, play: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(head_http, "TIMEOUT_SECONDS", 0.3)
    world = make_world(lifecycle={"gracePeriodSeconds": 1})

    async def story(operator: Any) -> None:
        await operator.run(6)
        world.hostile = answering(path, drip)
        world.job["metadata"]["deletionTimestamp"] = LONG_AGO
        await operator.run(3)

    play(world, story)
    assert world.kubernetes.kind("rlhfjobs") == []
    assert world.kubernetes.kind("rayclusters") == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": "FAILED", "driver_exit_code": "abc"}, "DriverFailed"),
        ({"status": "FAILED", "driver_exit_code": 10**30}, "DriverFailed"),
        ({"status": "FAILED", "driver_exit_code": 2.5}, "DriverFailed"),
        ({"status": "FAILED", "driver_exit_code": True, "message": ["x"]}, "DriverFailed"),
        ({"status": "FAILED", "driver_exit_code": 2, "message": "\x1b[2J" * 9000}, None),
    ],
)
def test_an_exit_code_that_is_none_is_a_death_without_one(
    make_world: Any, play: Any, answer: Any, reason: str | None
) -> None:
    world = make_world(lifecycle={"backoffLimit": 0})

    async def story(operator: Any) -> None:
        await operator.run(6)
        world.drivers["demo-1"] = {"status": "FAILED"}
        world.hostile = answering("/api/jobs/demo-1", answer)
        await operator.run(3)

    play(world, story)
    assert world.condition("Failed") == ("True", reason or "ConfigurationRejected")
    (failure,) = world.status["failures"]
    assert ("exitCode" in failure) == (reason is None)
    assert "\x1b" not in failure["message"]


def test_a_state_that_ray_does_not_have_is_silence_not_an_end(make_world: Any, play: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(6)
        world.hostile = answering("/api/jobs/demo-1", {"status": "ASCENDED"})
        await operator.run(2)

    play(world, story)
    assert world.condition("Running") == ("Unknown", "ClusterUnreachable")
    assert "ASCENDED" in world.message("Running")


def test_a_redirect_is_not_followed(make_world: Any, play: Any) -> None:
    world = make_world()
    visited: list[str] = []

    async def hostile(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/elsewhere":
            visited.append(request.path)
            return web.Response(text="{}")
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async def story(operator: Any) -> None:
        await operator.run(5)
        world.hostile = hostile
        await operator.run(2)

    play(world, story)
    assert visited == []
    assert "redirect" in world.message("Degraded")


def test_a_slow_head_gives_its_place_to_other_jobs(
    make_world: Any, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_http, "TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(observe_head, "TOTAL_SECONDS", 1.5)
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(6)
        world.hostile = answering("/api/jobs/demo-1", drip)
        began = time.monotonic()
        passing = asyncio.create_task(operator.run())
        await asyncio.sleep(0.2)
        async with asyncio.timeout(0.5), operator.slots:
            assert not passing.done()
        await passing
        assert time.monotonic() - began < 4

    play(world, story)
