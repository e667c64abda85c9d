"""Progress as it is pulled from a head."""

import asyncio
from typing import Any

from aiohttp import web

from rlhf_operator.clients.head_http import head_session
from rlhf_operator.clients.progress import get_progress, read_progress


def ask(build: Any, status: int = 200, extra: str = "") -> Any:
    """What the client makes of an answer; the token that it sent."""
    text = build.progress().model_dump_json(by_alias=True)
    sent: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Authorization"))
        return web.Response(status=status, text=text[:-1] + extra + "}")

    async def inside() -> Any:
        application = web.Application()
        application.router.add_get("/progress", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with head_session() as session:
            found, _ = await get_progress(session, url, "secret")
        await runner.cleanup()
        return found

    return asyncio.run(inside()), sent


def test_progress_is_asked_for_with_the_token(build: Any) -> None:
    found, sent = ask(build)
    assert found.model_dump() == build.progress().model_dump()
    assert sent == ["Bearer secret"]


def test_fields_of_a_newer_driver_are_passed_over(build: Any) -> None:
    found, _ = ask(build, extra=',"newField": 1')
    assert found.step == 3


def test_a_driver_that_refuses_or_babbles_is_silent(build: Any) -> None:
    assert ask(build, status=401)[0] is None
    assert ask(build, extra="nonsense")[0] is None
    assert read_progress({})[0] is None


def test_a_driver_that_is_not_there_is_silent() -> None:
    async def inside() -> Any:
        async with head_session() as session:
            return (await get_progress(session, "http://127.0.0.1:9", "secret"))[0]

    assert asyncio.run(inside()) is None
