"""The Jobs REST client against an HTTP server that answers as Ray 2.60 was seen to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rlhf_operator.clients import ray
from rlhf_operator.clients.head_http import NoAnswer, head_session
from rlhf_operator.clients.ray import Head

TOKEN = "secret"


class FakeDashboard:
    """Ray's dashboard as far as its Jobs API goes; `fault` is answered to the next POST."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.posted: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.fault: str | None = None

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_guard])
        application.router.add_get("/api/jobs/{id}", self.get)
        application.router.add_post("/api/jobs/", self.post)
        application.router.add_post("/api/jobs/{id}/stop", self.stop)
        application.router.add_get("/api/jobs/{id}/logs", self.logs)
        return application

    async def get(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            return web.Response(status=404, text="Job does not exist")
        return web.json_response(job)

    async def post(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.posted.append(body)
        name = body["submission_id"]
        if self.fault:
            fault, self.fault = self.fault, None
            return web.Response(status=500, text=f"Traceback\nRuntimeError: {fault}")
        if name in self.jobs:
            return web.Response(status=500, text=f"ValueError: Job {name} already exists")
        self.jobs[name] = {"status": "PENDING", "message": None, "driver_exit_code": None}
        return web.json_response({"submission_id": name})

    async def stop(self, request: web.Request) -> web.Response:
        self.stopped.append(request.match_info["id"])
        return web.json_response({"stopped": True})

    async def logs(self, request: web.Request) -> web.Response:
        return web.json_response({"logs": "x" * 20_000 + "last words"})


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return web.Response(status=403, text="wrong token")
    return await handler(request)


@asynccontextmanager
async def serving(fake: FakeDashboard) -> AsyncIterator[tuple[aiohttp.ClientSession, Head]]:
    runner = web.AppRunner(fake.application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with head_session() as session:
            yield session, Head(f"http://127.0.0.1:{port}", TOKEN)
    finally:
        await runner.cleanup()


def run(fake: FakeDashboard, call: Callable[[Any, Head], Awaitable[Any]]) -> Any:
    async def inside() -> Any:
        async with serving(fake) as (session, head):
            return await call(session, head)

    return asyncio.run(inside())


def submit(session: Any, head: Head) -> Awaitable[None]:
    return ray.submit(session, head, "demo-1", "python -m x", 60)


def test_a_job_is_submitted_with_its_grace_period() -> None:
    fake = FakeDashboard()
    run(fake, submit)
    (body,) = fake.posted
    assert body["submission_id"] == "demo-1"
    assert body["runtime_env"] == {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "60"}}


def test_a_job_that_is_there_is_not_posted_again() -> None:
    fake = FakeDashboard()
    fake.jobs["demo-1"] = {"status": "RUNNING"}
    run(fake, submit)
    assert fake.posted == []


def test_already_exists_is_success() -> None:
    fake = FakeDashboard()
    fake.fault = "Job with submission_id demo-1 already exists"
    run(fake, submit)
    assert len(fake.posted) == 1


def test_a_head_without_agents_is_asked_again_later() -> None:
    fake = FakeDashboard()
    fake.fault = "No available agent to submit job, please try again later."
    with pytest.raises(NoAnswer, match="No available agent"):
        run(fake, submit)
    assert fake.jobs == {}


def test_an_unknown_job_is_none() -> None:
    assert run(FakeDashboard(), lambda s, h: ray.get_job(s, h, "demo-1")) is None


def test_the_exit_code_of_a_job_is_read() -> None:
    fake = FakeDashboard()
    fake.jobs["demo-1"] = {"status": "FAILED", "message": "m", "driver_exit_code": 2}
    job = run(fake, lambda s, h: ray.get_job(s, h, "demo-1"))
    assert (job.status, job.message, job.exit_code) == ("FAILED", "m", 2)


def test_a_wrong_token_is_no_answer_and_says_so() -> None:
    with pytest.raises(NoAnswer, match="403"):
        run(FakeDashboard(), lambda s, h: ray.get_job(s, Head(h.url, "wrong"), "demo-1"))


def test_a_dead_head_is_no_answer() -> None:
    nowhere = Head("http://127.0.0.1:9", TOKEN)
    with pytest.raises(NoAnswer, match="gave no answer"):
        run(FakeDashboard(), lambda s, h: ray.get_job(s, nowhere, "demo-1"))


def test_stopping_twice_is_stopping_once() -> None:
    fake = FakeDashboard()

    async def twice(session: Any, head: Head) -> None:
        await ray.stop(session, head, "demo-1")
        await ray.stop(session, head, "demo-1")

    run(fake, twice)
    assert fake.stopped == ["demo-1", "demo-1"]


def test_logs_are_their_end() -> None:
    text = run(FakeDashboard(), lambda s, h: ray.logs(s, h, "demo-1"))
    assert text.endswith("last words")
    assert len(text) == ray.MAX_LOG_CHARACTERS
