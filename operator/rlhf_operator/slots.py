"""A pass holds one of a few slots while it works, and none while it waits for a head."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slot:
    """A place among the passes that work at the same time. Made and held by the work queue."""

    def __init__(self, semaphore: asyncio.Semaphore) -> None:
        self._semaphore = semaphore

    @asynccontextmanager
    async def left(self) -> AsyncIterator[None]:
        """Gives the place to another pass for the time of the block."""
        self._semaphore.release()
        try:
            yield
        finally:
            await self._semaphore.acquire()
