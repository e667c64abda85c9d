"""`/healthz` tells whether the operator still works, `/metrics` what it did.

A kopf watch may die or freeze while the process lives on; so health is measured by effects: lists
of the API server that succeed, and passes that end.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

LONGEST_PASS_SECONDS = 300.0


@dataclass
class Health:
    """Signs of life. `is_well` is what the probe is answered from."""

    patience_seconds: float
    """Longest time without a sign from a watch or a list."""
    longest_pass: Callable[[], float]
    last_list: float = field(default_factory=time.monotonic)
    watch_errors: list[str] = field(default_factory=list)

    def listed(self) -> None:
        """A list of the API server succeeded."""
        self.last_list = time.monotonic()

    def troubles(self) -> list[str]:
        """What is wrong; nothing when well."""
        found = list(self.watch_errors)
        silent = time.monotonic() - self.last_list
        if silent > self.patience_seconds:
            found.append(f"the API server has not answered a list for {silent:.0f} s")
        if self.longest_pass() > LONGEST_PASS_SECONDS:
            found.append(f"a pass has taken {self.longest_pass():.0f} s")
        return found


async def serve(port: int, routes: dict[str, Callable[[], web.Response]]) -> web.AppRunner:
    """Answers GET on the paths; `cleanup` of the runner ends it."""
    application = web.Application()
    for path, answer in routes.items():
        application.router.add_get(path, _handler(answer))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port).start()
    return runner


def health_answer(health: Health) -> web.Response:
    """200 when well, 503 with the troubles otherwise."""
    troubles = health.troubles()
    if troubles:
        return web.Response(status=503, text="\n".join(troubles) + "\n")
    return web.Response(text="ok\n")


def metrics_answer(registry: CollectorRegistry) -> web.Response:
    """The registry as Prometheus reads it."""
    return web.Response(
        body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


def _handler(
    answer: Callable[[], web.Response],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return answer()

    return handle
