"""The driver's progress, pulled from the head pod with the job's token."""

import aiohttp
from pydantic import ValidationError

from openrlhf_core.spec.progress import LAST_WORD, Progress

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
    """The last lines that a driver printed for people, and its last Progress if it printed one.

    split_log("boom\\nrlhf-progress: {...}\\n") == ("boom", Progress(...))
    """
    lines = text.splitlines()
    spoken = [line for line in lines if line.startswith(LAST_WORD)]
    kept = [line.rstrip() for line in lines if line.strip() and not line.startswith(LAST_WORD)]
    return "\n".join(kept[-MAX_LINES:]), parse_progress(
        spoken[-1].removeprefix(LAST_WORD)
    ) if spoken else None
