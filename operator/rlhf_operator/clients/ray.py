"""Ray's Jobs REST API on a head: submit once, ask, stop, read the log.

Facts of Ray 2.60 that this file hides: a used submission id is answered 500 "already exists",
which is success; a head that just started answers 500 "No available agent", which is to be asked
again; a stopped job gets SIGTERM and then SIGKILL after RAY_JOB_STOP_WAIT_TIME_S of its own
environment, 3 s unless it is set; the log is always sent whole.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import quote

import aiohttp
from pydantic import Field

from openrlhf_core.spec.kinds.status import StatusModel
from rlhf_operator.clients.head_http import Answer, NoAnswer, ask
from rlhf_operator.untrusted import clean_text, fit, read_json

JOBS_PATH = "/api/jobs/"
MAX_LOG_CHARACTERS = 16_000
MAX_MESSAGE = 4000
SUBMIT_SECONDS = 15.0
LINE_END = re.compile(rb"[^\\](?:\\\\)*\\n")
"""A line end inside a JSON string, which no backslash before it makes a backslash and an n."""


@dataclass(frozen=True)
class Head:
    """Where a head's dashboard answers, and with which token."""

    url: str
    token: str


class ReportedJob(StatusModel):
    """A Ray job, as far as it is used of what its head answers."""

    status: Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED"]
    message: str = ""
    driver_exit_code: Annotated[int, Field(ge=-255, le=255)] | None = Field(
        None, alias="driver_exit_code"
    )


@dataclass(frozen=True)
class RayJob:
    """A Ray job as its head reports it. Made here, read by `state`."""

    status: str
    message: str
    exit_code: int | None
    complaints: tuple[str, ...] = ()
    """What was wrong in the answer, and left out."""


async def get_job(session: aiohttp.ClientSession, head: Head, submission_id: str) -> RayJob | None:
    """The job, or None when this head does not know it. Raises NoAnswer."""
    answer = await ask(session, "GET", _url(head, submission_id), head.token)
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise NoAnswer(f"{head.url} answered {answer.status}{_why(answer)}")
    job, complaints = fit(ReportedJob, answer.json)
    if job is None:
        raise NoAnswer(f"{head.url} answered what is no Ray job: {'; '.join(complaints)}")
    message = clean_text(job.message, MAX_MESSAGE)
    return RayJob(job.status, message, job.driver_exit_code, complaints)


async def submit(
    session: aiohttp.ClientSession,
    head: Head,
    submission_id: str,
    entrypoint: str,
    stop_wait_seconds: int,
) -> None:
    """The job runs on this head, whether this call or an earlier one brought it there.

    Raises NoAnswer when the head can not take it yet.
    """
    if await get_job(session, head, submission_id) is not None:
        return
    body = {
        "entrypoint": entrypoint,
        "submission_id": submission_id,
        "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(stop_wait_seconds)}},
    }
    url = head.url + JOBS_PATH
    answer = await ask(session, "POST", url, head.token, body=body, seconds=SUBMIT_SECONDS)
    if answer.status != 200 and b"already exists" not in answer.body:
        raise NoAnswer(f"{head.url} did not take {submission_id}: {answer.status}{_why(answer)}")


async def stop(session: aiohttp.ClientSession, head: Head, submission_id: str) -> None:
    """Asks the job to stop; asking again, or after it ended, does nothing. Raises NoAnswer."""
    answer = await ask(session, "POST", f"{_url(head, submission_id)}/stop", head.token)
    if answer.status not in (200, 404):
        raise NoAnswer(f"{head.url} did not stop {submission_id}: {answer.status}{_why(answer)}")


async def logs(session: aiohttp.ClientSession, head: Head, submission_id: str) -> str:
    """The last characters of what the driver printed; empty when there is no answer."""
    url = f"{_url(head, submission_id)}/logs"
    try:
        answer = await ask(session, "GET", url, head.token, keep_end=True)
    except NoAnswer:
        return ""
    return read_log_answer(answer)[-MAX_LOG_CHARACTERS:] if answer.status == 200 else ""


def read_log_answer(answer: Answer) -> str:
    """The log that an answer `{"logs": "..."}` holds, or the end of it when its start was cut off.

    A text that was cut begins with the first whole line.
    """
    if not answer.is_cut:
        said = answer.json
        text = said.get("logs") if isinstance(said, dict) else None
        return text if isinstance(text, str) else ""
    line_end = LINE_END.search(answer.body)
    lines = answer.body[line_end.end() :] if line_end is not None else b""
    said = read_json(b'{"logs": "' + lines)
    text = said.get("logs") if isinstance(said, dict) else None
    return text if isinstance(text, str) else ""


def _url(head: Head, submission_id: str) -> str:
    return f"{head.url}{JOBS_PATH}{quote(submission_id, safe='')}"


def _why(answer: Answer) -> str:
    """The last line of an answer: Ray puts the exception there, under a traceback."""
    text = answer.body[-2000:].decode(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    return f": {clean_text(lines[-1], 300)}" if lines else ""
