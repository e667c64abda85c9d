"""The driver's progress, pulled from the head pod with the job's token."""

import json

import aiohttp
from pydantic import ValidationError

from openrlhf_core.spec.progress import LAST_ERROR, LAST_WORD, Progress

MAX_LINES = 15
TIMEOUT = aiohttp.ClientTimeout(total=8, connect=3)


async def get_progress(session: aiohttp.ClientSession, url: str, token: str) -> Progress | None:
    """What the driver says of itself, or None when it does not answer.

    Silence is no error: the driver may not listen yet, or no longer. A newer driver's fields are
    passed over.
    """
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with session.get(f"{url}/progress", headers=headers, timeout=TIMEOUT) as response:
            if response.status != 200:
                return None
            body = await response.read()
        return parse_progress(body)
    except (TimeoutError, aiohttp.ClientError):
        return None


def parse_progress(text: str | bytes) -> Progress | None:
    """The Progress that a JSON text says, or None when it says none."""
    try:
        return Progress.model_validate_json(text, extra="ignore")
    except ValidationError:
        return None


def split_log(text: str) -> tuple[str, Progress | None]:
    """Why a driver failed, in its last lines or in its own words, and its last Progress.

    split_log('... starting Ray\nrlhf-error: "no GPU"\nrlhf-progress: {...}\n')
    == ("no GPU", Progress(...))
    """
    lines = text.splitlines()
    words = [line.removeprefix(LAST_WORD) for line in lines if line.startswith(LAST_WORD)]
    errors = [line.removeprefix(LAST_ERROR) for line in lines if line.startswith(LAST_ERROR)]
    others = [line.rstrip() for line in lines if not line.startswith((LAST_WORD, LAST_ERROR))]
    said = parse_error(errors[-1]) if errors else ""
    last_lines = "\n".join([line for line in others if line][-MAX_LINES:])
    return said or last_lines, parse_progress(words[-1]) if words else None


def parse_error(text: str) -> str:
    """The string that a JSON text holds; empty when it holds none, as when it was cut off."""
    try:
        said = json.loads(text)
    except ValueError:
        return ""
    return said if isinstance(said, str) else ""
