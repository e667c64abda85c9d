"""One worker a job: woken by events and by its own clock, never two passes of one job at once.

Events that arrive during a pass make one more pass, however many they are.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from rlhf_operator.cache import JobKey
from rlhf_operator.clients.api_errors import ApiError
from rlhf_operator.slots import Slot

logger = logging.getLogger(__name__)

FIRST_BACKOFF = 1.0
LAST_BACKOFF = 300.0
MAX_DEAF_SECONDS = 10.0


class Gone(Exception):
    """There is no such job any more: its worker ends."""


class WorkQueue:
    """Workers by job. `reconcile` returns the seconds after which to look again, or None."""

    def __init__(
        self,
        reconcile: Callable[[JobKey, Slot], Awaitable[float | None]],
        concurrency: int,
        resync_seconds: float,
    ) -> None:
        self._reconcile = reconcile
        self._slots = asyncio.Semaphore(concurrency)
        self._resync = resync_seconds
        self._wakers: dict[JobKey, asyncio.Event] = {}
        self._workers: dict[JobKey, asyncio.Task[None]] = {}
        self._busy_since: dict[JobKey, float] = {}
        self._is_open = False

    def open(self) -> None:
        """Lets workers begin; what was woken before is served now."""
        self._is_open = True
        for key in list(self._wakers):
            self._ensure_worker(key)

    def wake(self, key: JobKey) -> None:
        """Asks for a pass of the job, soon."""
        self._wakers.setdefault(key, asyncio.Event()).set()
        if self._is_open:
            self._ensure_worker(key)

    @property
    def depth(self) -> int:
        """Jobs that wait for a pass."""
        return sum(waker.is_set() for waker in self._wakers.values())

    @property
    def longest_pass(self) -> float:
        """Age in seconds of the oldest pass under way."""
        now = time.monotonic()
        return max((now - since for since in self._busy_since.values()), default=0.0)

    async def close(self, timeout: float) -> None:
        """Begins no pass any more and lets those under way end, at most `timeout` seconds."""
        self._is_open = False
        for key, worker in list(self._workers.items()):
            if key not in self._busy_since:
                worker.cancel()
        busy = [worker for worker in self._workers.values() if not worker.done()]
        if busy:
            _, late = await asyncio.wait(busy, timeout=timeout)
            for worker in late:
                worker.cancel()

    def _ensure_worker(self, key: JobKey) -> None:
        worker = self._workers.get(key)
        if worker is None or worker.done():
            self._workers[key] = asyncio.create_task(self._serve(key), name=f"job {key}")

    async def _serve(self, key: JobKey) -> None:
        waker, failures = self._wakers[key], 0
        while self._is_open:
            waker.clear()
            try:
                delay = await self._pass(key)
                failures = 0
            except Gone:
                break
            except ApiError as error:
                failures += 1
                delay = backoff(failures)
                logger.warning("pass failed job=%s/%s retry_in=%.0fs %s", *key, delay, error)
            except Exception:
                failures += 1
                delay = backoff(failures)
                logger.exception("pass failed job=%s/%s retry_in=%.0fs", *key, delay)
            if self._is_open:
                await self._sleep(waker, delay, failures)
        if not waker.is_set():
            self._wakers.pop(key, None)
        self._workers.pop(key, None)
        if waker.is_set() and self._is_open:
            self._ensure_worker(key)

    async def _pass(self, key: JobKey) -> float | None:
        async with self._slots:
            self._busy_since[key] = time.monotonic()
            try:
                return await self._reconcile(key, Slot(self._slots))
            finally:
                del self._busy_since[key]

    async def _sleep(self, waker: asyncio.Event, delay: float | None, failures: int) -> None:
        """Sleeps until woken or the time is over. After a failure events do not wake at once: what
        the failed pass wrote is an event too."""
        if failures and delay is not None:
            deaf = min(delay, MAX_DEAF_SECONDS)
            await asyncio.sleep(deaf)
            delay -= deaf
        longest = self._resync * random.uniform(0.8, 1.2)
        try:
            await asyncio.wait_for(waker.wait(), longest if delay is None else min(delay, longest))
        except TimeoutError:
            return


def backoff(failures: int) -> float:
    """Seconds after so many failed passes in a row: doubled from 1 to 300, with jitter."""
    delay = min(LAST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 16))
    return delay * random.uniform(0.8, 1.2)
