"""Requests to heads: bounded in bytes and time, without redirects, over connections that stay."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from rlhf_operator.clients.head_http import MAX_BODY_BYTES, Answer, NoAnswer, ask, head_session
from rlhf_operator.clients.ray import read_log_answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def asked(handler: Handler, times: int = 1, **how: Any) -> tuple[Answer, int]:
    """The last answer, and over how many connections the requests came."""
    ports: set[int] = set()

    async def counted(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return await handler(request)

    async def inside() -> Answer:
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", counted)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with head_session() as session:
                for _ in range(times):
                    answer = await ask(session, "GET", f"{url}/x", "secret", **how)
            return answer
        finally:
            await runner.cleanup()

    return asyncio.run(inside()), len(ports)


def saying(body: bytes, **fields: Any) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, **fields)

    return handler


def test_connections_are_kept_between_requests() -> None:
    answer, connections = asked(saying(b'{"a": 1}'), times=5)
    assert (answer.json, connections) == ({"a": 1}, 1)


def test_a_body_is_read_up_to_its_bound() -> None:
    assert len(asked(saying(b"x" * MAX_BODY_BYTES))[0].body) == MAX_BODY_BYTES
    with pytest.raises(NoAnswer, match="more than") as caught:
        asked(saying(b"x" * (MAX_BODY_BYTES + 1)))
    assert caught.value.is_fault


def test_nothing_is_decompressed() -> None:
    answer, _ = asked(saying(b"\x1f\x8b...", headers={"Content-Encoding": "gzip"}))
    assert answer.body == b"\x1f\x8b..."
    assert answer.json is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_fault(status: int) -> None:
    with pytest.raises(NoAnswer, match="redirect") as caught:
        asked(saying(b"", status=status, headers={"Location": "http://169.254.169.254/"}))
    assert caught.value.is_fault


def test_an_answer_that_does_not_end_is_a_fault() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    with pytest.raises(NoAnswer, match="did not end its answer in") as caught:
        asked(drip, seconds=0.2)
    assert caught.value.is_fault


def test_silence_is_no_fault() -> None:
    async def mute(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    with pytest.raises(NoAnswer, match="gave no answer in") as caught:
        asked(mute, seconds=0.2)
    assert not caught.value.is_fault


def test_of_a_long_log_the_end_is_kept_from_a_whole_line_on() -> None:
    lines = [f'line {number} says "ä\\n" and \U0001f600' for number in range(20_000)]
    body = json.dumps({"logs": "\n".join(lines)}).encode()
    assert len(body) > MAX_BODY_BYTES
    answer, _ = asked(saying(body), keep_end=True)
    log = read_log_answer(answer)
    assert answer.is_cut
    assert len(log) > MAX_BODY_BYTES / 4
    assert log.split("\n") == lines[-len(log.split("\n")) :]


@pytest.mark.parametrize("body", [b"[]", b'{"logs": 3}', b'{"logs": "a', b"\xff", b"{}"])
def test_what_is_no_log_is_empty(body: bytes) -> None:
    assert read_log_answer(Answer(200, body)) == ""
    assert read_log_answer(Answer(200, body, is_cut=True)) == ""
