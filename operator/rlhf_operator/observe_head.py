"""Asks a head how its driver is, in a bounded time; what it answers is untrusted.

A job whose head answers slowly waits alone: it gives its place among the passes to other jobs.
"""

import asyncio
from dataclasses import dataclass

from openrlhf_core.spec.progress import Progress
from rlhf_operator.clients import progress, ray
from rlhf_operator.clients.driver_log import read_log
from rlhf_operator.clients.head_http import NoAnswer
from rlhf_operator.clients.kubernetes import Object
from rlhf_operator.conditions import Reason
from rlhf_operator.context import Context
from rlhf_operator.findings import Finding
from rlhf_operator.heads import head_of, progress_of
from rlhf_operator.state.observed import Driver

TOTAL_SECONDS = 12.0


@dataclass(frozen=True)
class HeadAnswer:
    """What a head says of the driver."""

    driver: Driver | None = None
    """None when the head does not know the driver, or gave no answer."""
    silence: str | None = None
    """Why it gave no answer."""
    progress: Progress | None = None
    complaints: tuple[Finding, ...] = ()


async def ask_head(context: Context, cluster: Object, submission_id: str) -> HeadAnswer:
    """What the head of a RayCluster says of a driver. Takes at most TOTAL_SECONDS."""
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            return await _ask(context, cluster, submission_id)
    except TimeoutError:
        return HeadAnswer(silence=f"the head did not answer in {TOTAL_SECONDS:g} s")


async def _ask(context: Context, cluster: Object, submission_id: str) -> HeadAnswer:
    try:
        head = await head_of(context, cluster)
        job = await ray.get_job(context.http, head, submission_id)
    except NoAnswer as error:
        found, wrong = await _progress(context, cluster)
        faults = (str(error), *wrong) if error.is_fault else wrong
        return HeadAnswer(None, str(error), found, _complaints("the head", faults))
    if job is None:
        return HeadAnswer()
    complaints = _complaints("Ray's job", job.complaints)
    driver = Driver(job.status, job.exit_code, job.message)
    if not driver.is_over:
        found, wrong = await _progress(context, cluster)
        return HeadAnswer(driver, None, found, complaints + _complaints("/progress", wrong))
    log = read_log(await ray.logs(context.http, head, submission_id))
    ended = Driver(job.status, job.exit_code, job.message, log.last_lines, log.last_words)
    return HeadAnswer(ended, None, log.progress, complaints)


async def _progress(context: Context, cluster: Object) -> progress.Reported:
    driver = progress_of(context, cluster)
    if driver is None:
        return None, ()
    return await progress.get_progress(context.http, driver.url, driver.token)


def _complaints(what: str, said: tuple[str, ...]) -> tuple[Finding, ...]:
    return tuple(Finding(Reason.WRONG_ANSWER, f"{what}: {text}; left out") for text in said)
