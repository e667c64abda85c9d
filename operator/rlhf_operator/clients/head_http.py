"""Requests to a job's head pod, which runs the job owner's code.

No redirect is followed, nothing is decompressed, a body is read to a bound and a request has a time
limit, so that no answer costs the operator more than that. Connections are kept open between
requests.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from rlhf_operator.untrusted import clean_text, read_json

TIMEOUT_SECONDS = 5.0
MAX_BODY_BYTES = 128 * 1024
MAX_LOG_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 64 * 1024


class NoAnswer(Exception):
    """The head gave no answer that can be used; the message says why."""

    def __init__(self, message: str, is_fault: bool = False) -> None:
        super().__init__(message)
        self.is_fault = is_fault
        """Whether the head answered, in a way in which no head of ours does."""


@dataclass(frozen=True)
class Answer:
    """What a head answered."""

    status: int
    body: bytes
    is_cut: bool = False
    """Whether the body was longer; its end is kept."""

    @property
    def json(self) -> Any:
        """What the body says; None when it is no JSON."""
        return read_json(self.body)


def head_session() -> aiohttp.ClientSession:
    """The connections to all heads. Each head has two at most, kept open between requests."""
    connector = aiohttp.TCPConnector(
        limit=0, limit_per_host=2, ttl_dns_cache=30, keepalive_timeout=60
    )
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
    )


async def ask(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    token: str,
    *,
    body: Mapping[str, Any] | None = None,
    seconds: float | None = None,
    keep_end: bool = False,
) -> Answer:
    """Makes one request. Raises NoAnswer, also for a redirect or a body that is too long.

    `seconds`: the time limit, instead of TIMEOUT_SECONDS. `keep_end`: a body may be as long as
    MAX_LOG_BYTES, and its last MAX_BODY_BYTES are returned.
    """
    limit = seconds or TIMEOUT_SECONDS
    headers, has_begun = {"Authorization": f"Bearer {token}"}, False
    try:
        async with (
            asyncio.timeout(limit),
            session.request(
                method, url, json=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            has_begun = True
            return await _read(response, MAX_LOG_BYTES if keep_end else MAX_BODY_BYTES)
    except TimeoutError as error:
        what = "did not end its answer" if has_begun else "gave no answer"
        raise NoAnswer(f"{url} {what} in {limit:g} s", has_begun) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        reason = clean_text(str(error) or type(error).__name__, 300)
        raise NoAnswer(f"{url} gave no answer: {reason}") from error


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> Answer:
    """Reads at most `max_bytes` of a body and keeps the end of it."""
    if 300 <= response.status <= 399:
        raise NoAnswer(f"{response.url} answered with a redirect, which is not followed", True)
    kept, total = bytearray(), 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        total += len(chunk)
        if total > max_bytes:
            raise NoAnswer(f"{response.url} answered with more than {max_bytes} bytes", True)
        kept += chunk
        del kept[:-MAX_BODY_BYTES]
    return Answer(response.status, bytes(kept), is_cut=total > MAX_BODY_BYTES)
