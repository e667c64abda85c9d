"""Heads for clusters on paper: one server answers as the head of every RayCluster.

A request names its head by its Host. By default a head is honest: a submitted job runs, its driver
says how far it is, and a stopped job stops. A test gives the heads of a job another behaviour.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

DASHBOARD_PORT = 8265
PROGRESS_PORT = 8090
Object = dict[str, Any]
Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""None lets the honest head answer."""


class PaperHeads:
    """The server; started and stopped by `with`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.jobs: dict[str, Object] = {}
        self.requests: list[str] = []
        self.behaviours: dict[str, Behaviour] = {}
        """By name of the job."""
        self.steps = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "PaperHeads":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(20)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    def progress(self) -> Object:
        """What an honest driver says."""
        return {
            "attempt": 1,
            "phase": "train",
            "step": min(99, self.steps),
            "totalSteps": 100,
            "lastUpdateTime": time.time(),
            "metrics": {"reward/mean": 0.25, "kl/mean": 0.01},
            "versions": {"ray": "2.60.0"},
        }

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        for port in (DASHBOARD_PORT, PROGRESS_PORT):
            await web.TCPSite(self._runner, self.address, port).start()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.host}{request.path}")
        behaviour = self.behaviours.get(job_of(request))
        said = await behaviour(request) if behaviour is not None else None
        return said if said is not None else await self._honest(request)

    async def _honest(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/progress":
            return web.json_response(self.progress())
        if request.method == "POST" and request.path == "/api/jobs/":
            self.jobs[(await request.json())["submission_id"]] = {"status": "RUNNING"}
            return web.json_response({})
        parts = request.path.removeprefix("/api/jobs/").split("/")
        job = self.jobs.get(parts[0])
        if job is None:
            return web.Response(status=404)
        if parts[-1] == "stop":
            job["status"] = "STOPPED"
        return web.json_response({"logs": ""} if parts[-1] == "logs" else job)


def job_of(request: web.Request) -> str:
    """The name of the job whose head is asked: `<job>-<uid>-<attempt>-head-svc.<namespace>.svc`."""
    return request.host.split(".")[0].removesuffix("-head-svc").rsplit("-", 2)[0]
