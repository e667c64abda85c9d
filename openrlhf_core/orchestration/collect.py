"""Waits for Ray calls: until they end, a stop is requested, or a worker is lost.

A call is a reference with the name of the worker that it runs on, so that an error says which
worker failed. The reward pool (reward_pool.py) waits by itself, because it replaces workers.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.exceptions import RayError, RayTaskError

from openrlhf_core.orchestration.lost_worker import first_line, loss_of
from openrlhf_core.spec.exit_codes import (
    CollectiveTimeout,
    ConfigurationError,
    OutOfMemory,
    ProgramError,
    RunError,
    WorkerLost,
    unforeseen_error,
)
from openrlhf_core.stop import StopFlag

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
CAUSE_SECONDS = 5.0
"""How long after a failed call the others may still tell the cause of it."""


@dataclass(frozen=True)
class Call:
    """A reference to a result and the name of the worker that makes it, as `learner rank 1`."""

    worker: str
    reference: Any


class Collect(Protocol):
    """How groups wait: every result in order, or a RunError."""

    def __call__(
        self,
        calls: Sequence[Call],
        *,
        finish: bool = False,
        on_stop: Callable[[], None] | None = None,
        timeout_seconds: float | None = None,
    ) -> list[Any]:
        """Waits for all calls. `finish`: a stop does not interrupt before the grace period ends;
        `on_stop` is then called once, to hasten the workers."""


def make_collect(stop: StopFlag) -> Collect:
    """Returns the Collect of a Ray driver whose waits end when `stop` is requested."""

    def collect(
        calls: Sequence[Call],
        *,
        finish: bool = False,
        on_stop: Callable[[], None] | None = None,
        timeout_seconds: float | None = None,
    ) -> list[Any]:
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        waiting = [call.reference for call in calls]
        while waiting:
            ready, waiting = ray.wait(waiting, num_returns=1, timeout=POLL_SECONDS)
            if error := first_error([call for call in calls if call.reference in ready]):
                raise cause_of(error, [call for call in calls if call.reference in waiting])
            (stop.check_grace if finish else stop.check)()
            if waiting and on_stop is not None and stop.is_requested:
                on_stop()
                on_stop = None
            if waiting and deadline is not None and time.monotonic() > deadline:
                raise CollectiveTimeout(late_message(calls, waiting, timeout_seconds))
        return fetch(calls)

    return collect


def late_message(calls: Sequence[Call], waiting: Sequence[Any], seconds: float | None) -> str:
    names = ", ".join(call.worker for call in calls if call.reference in waiting)
    return f"no answer within {seconds:g} s from {names}"


def fetch(calls: Sequence[Call]) -> list[Any]:
    """Returns the results of finished calls; raises the RunError of one that failed."""
    results = []
    for call in calls:
        try:
            results.append(ray.get(call.reference))
        except (RayError, RunError) as error:
            raise run_error(call.worker, error) from error
    return results


def first_error(calls: Sequence[Call]) -> RunError | None:
    """Returns the error of the first of some finished calls that failed."""
    try:
        fetch(calls)
    except RunError as error:
        return error
    return None


def cause_of(error: RunError, others: Sequence[Call]) -> RunError:
    """Returns the error that explains a failed call: its own, or one of a call beside it.

    A worker whose peer fails sees only that nobody answers, and may say so first.
    """
    if rank_of(error) == 0 or not others:
        return error
    references = [call.reference for call in others]
    ended, _ = ray.wait(references, num_returns=len(references), timeout=CAUSE_SECONDS)
    errors = [first_error([call]) for call in others if call.reference in ended]
    return min([error, *(each for each in errors if each is not None)], key=rank_of)


def rank_of(error: RunError) -> int:
    """Sorts errors by how much they explain: what is wrong, then who is lost, then the rest."""
    order = (OutOfMemory, WorkerLost, ProgramError)
    if isinstance(error, ConfigurationError) and not isinstance(error, ProgramError):
        return 0
    return next((i for i, kind in enumerate(order, 1) if isinstance(error, kind)), 1 + len(order))


def run_error(worker: str, error: BaseException) -> RunError:
    """Translates what Ray raised for a worker's call into the error that ends the run."""
    if isinstance(error, RayTaskError):
        cause = error.cause
        if isinstance(cause, RunError):
            return type(cause)(str(cause))
        logger.error("%s failed:\n%s", worker, error)
        message = f"{worker} failed: {type(cause).__name__}: {first_line(cause)}"
        return OutOfMemory(message) if is_out_of_memory(cause) else unforeseen_error(cause, message)
    if isinstance(error, RunError):
        return error
    loss = loss_of(error)
    return loss.kind(f"{worker} is lost: {loss.reason}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a call failed because it could not allocate, on the host or on a device."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
