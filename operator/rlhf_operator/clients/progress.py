"""The driver's progress, pulled from the head pod with the job's token."""

import aiohttp
from pydantic import ValidationError

from openrlhf_core.spec.progress import Progress

TIMEOUT = aiohttp.ClientTimeout(total=8, connect=3)


async def get_progress(session: aiohttp.ClientSession, url: str, token: str) -> Progress | None:
    """What the driver says of itself, or None when it does not answer.

    No answer is no error: the driver may not listen yet, or no longer. Fields that a newer driver
    adds are ignored.
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
