"""The driver's progress, asked of the head pod with the job's token."""

from typing import Annotated, Any

import aiohttp
from pydantic import Field

from openrlhf_core.spec.kinds.base import NonNegativeInt
from openrlhf_core.spec.progress import CheckpointRecord, Progress
from rlhf_operator.clients.head_http import NoAnswer, ask
from rlhf_operator.untrusted import fit

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Label = Annotated[str, Field(max_length=253, pattern=PRINTABLE)]
Rate = Annotated[float, Field(ge=0, le=1e15)]
UnixTime = Annotated[float, Field(ge=0, le=4_102_444_800)]
"""Up to the year 2100."""


class ReportedCheckpoint(CheckpointRecord):
    """A checkpoint, within the bounds of a status."""

    step: NonNegativeInt
    path: Annotated[str, Field(max_length=1024, pattern=PRINTABLE)]
    time: UnixTime


class ReportedProgress(Progress):
    """What a driver says of itself, within the bounds of a status."""

    attempt: NonNegativeInt
    step: NonNegativeInt
    total_steps: NonNegativeInt
    resumed_from_step: NonNegativeInt | None = None
    samples_per_second: Rate | None = None
    tokens_per_second: Rate | None = None
    estimated_remaining_seconds: Annotated[float, Field(ge=0, le=2_147_483_647)] | None = None
    last_update_time: UnixTime
    metrics: dict[Label, float]
    checkpoint: ReportedCheckpoint | None = None
    checkpoint_count: NonNegativeInt = 0
    versions: Annotated[dict[Label, Label], Field(max_length=32)]


Reported = tuple[Progress | None, tuple[str, ...]]
"""A Progress with what is right in it, and what was wrong and left out."""


async def get_progress(session: aiohttp.ClientSession, url: str, token: str) -> Reported:
    """What the driver says of itself; None when it does not answer.

    No answer is no error: the driver may not listen yet, or no longer. Fields that a newer driver
    adds are ignored.
    """
    try:
        answer = await ask(session, "GET", f"{url}/progress", token)
    except NoAnswer as error:
        return None, _complaints(error)
    if answer.status != 200:
        return None, ()
    return read_progress(answer.json)


def read_progress(data: Any) -> Reported:
    """The Progress that an answer or a line of a log holds."""
    return fit(ReportedProgress, data)


def _complaints(error: NoAnswer) -> tuple[str, ...]:
    """A port that nobody listens on is no fault; an answer that breaks a bound is."""
    return (str(error),) if error.is_fault else ()
