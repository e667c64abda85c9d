"""Ray's Jobs REST API on a head: submit once, ask, stop.

Facts of Ray 2.60 that this file hides: a used submission id is answered 500 "already exists",
which is success; a head that just started answers 500 "No available agent", which is to be asked
again; a stopped job gets SIGTERM and then SIGKILL after RAY_JOB_STOP_WAIT_TIME_S of its own
environment, 3 s unless it is set.
"""

from dataclasses import dataclass
from typing import Any

import aiohttp

JOBS_PATH = "/api/jobs/"
TIMEOUT = aiohttp.ClientTimeout(total=15, connect=4)
MAX_LOG_CHARACTERS = 16_000


class RayUnreachable(Exception):
    """The head gave no usable answer; ask again later."""


@dataclass(frozen=True)
class Head:
    """Where a head's dashboard answers, and with which token."""

    url: str
    token: str


@dataclass(frozen=True)
class RayJob:
    """A Ray job as its head reports it. Made here, read by `state`."""

    status: str
    message: str
    error_type: str | None
    exit_code: int | None


async def get_job(session: aiohttp.ClientSession, head: Head, submission_id: str) -> RayJob | None:
    """The job, or None when this head has never heard of it. Raises RayUnreachable."""
    status, body = await _call(session, head, "GET", JOBS_PATH + submission_id)
    if status == 404:
        return None
    if status != 200 or not isinstance(body, dict):
        raise RayUnreachable(f"{head.url} answered {status}: {_short(body)}")
    return RayJob(
        status=str(body.get("status")),
        message=str(body.get("message") or ""),
        error_type=body.get("error_type"),
        exit_code=body.get("driver_exit_code"),
    )


async def submit(
    session: aiohttp.ClientSession,
    head: Head,
    submission_id: str,
    entrypoint: str,
    stop_wait_seconds: int,
) -> None:
    """The job runs on this head, whether this call or an earlier one brought it there.

    Raises RayUnreachable when the head can not take it yet.
    """
    if await get_job(session, head, submission_id) is not None:
        return
    body = {
        "entrypoint": entrypoint,
        "submission_id": submission_id,
        "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(stop_wait_seconds)}},
    }
    status, answer = await _call(session, head, "POST", JOBS_PATH, body)
    if status != 200 and "already exists" not in str(answer):
        raise RayUnreachable(f"{head.url} did not take {submission_id}: {status} {_short(answer)}")


async def stop(session: aiohttp.ClientSession, head: Head, submission_id: str) -> None:
    """Asks the job to stop; asking again, or after it ended, does nothing."""
    status, answer = await _call(session, head, "POST", f"{JOBS_PATH}{submission_id}/stop")
    if status not in (200, 404):
        raise RayUnreachable(f"{head.url} did not stop {submission_id}: {status} {_short(answer)}")


async def logs(session: aiohttp.ClientSession, head: Head, submission_id: str) -> str:
    """The last characters of what the driver printed; empty when there is no answer."""
    try:
        status, body = await _call(session, head, "GET", f"{JOBS_PATH}{submission_id}/logs")
    except RayUnreachable:
        return ""
    text = str(body.get("logs") or "") if status == 200 and isinstance(body, dict) else ""
    return text[-MAX_LOG_CHARACTERS:]


async def _call(
    session: aiohttp.ClientSession,
    head: Head,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
) -> tuple[int, Any]:
    """Status and body (JSON, else text) of one request. Raises RayUnreachable without an answer."""
    headers = {"Authorization": f"Bearer {head.token}"}
    try:
        async with session.request(
            method, head.url + path, json=body, headers=headers, timeout=TIMEOUT
        ) as response:
            if response.content_type == "application/json":
                return response.status, await response.json()
            return response.status, await response.text()
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise RayUnreachable(f"{head.url} gave no answer: {reason}") from error


def _short(answer: Any) -> str:
    """The last line of an answer: Ray puts the exception there, under a traceback."""
    lines = [line for line in str(answer).splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
