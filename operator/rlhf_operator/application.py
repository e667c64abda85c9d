"""The operator as a whole: clients, cache, workers, probes; started once, stopped in order."""

import asyncio
import logging

import aiohttp
from aiohttp import web

from rlhf_operator.cache import Cache, Children
from rlhf_operator.clients.kubernetes import Object, connect
from rlhf_operator.context import Context
from rlhf_operator.health import Health, health_answer, metrics_answer, serve
from rlhf_operator.metrics import OperatorMetrics
from rlhf_operator.reconcile import Reconciler
from rlhf_operator.refresh import Refresher
from rlhf_operator.settings import Settings
from rlhf_operator.workqueue import WorkQueue

logger = logging.getLogger(__name__)

LIST_SECONDS = 60.0
SILENCE_SECONDS = 240.0
CLOSE_SECONDS = 20.0
THREADS = 16


class Application:
    """Everything that lives as long as the process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._cache = Cache()
        self._metrics = OperatorMetrics()
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: list[web.AppRunner] = []

    async def start(self) -> None:
        """Answers probes, fills the cache, then lets workers begin. What failed half-way is undone,
        so that it may be tried again."""
        self._kubernetes = connect(THREADS, self._metrics.on_call)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64, ttl_dns_cache=5, force_close=True)
        )
        try:
            await self._begin()
        except BaseException:
            await self._release()
            raise
        logger.info("started jobs=%d", len(self._cache.job_keys()))

    async def stop(self) -> None:
        """Ends passes under way, then closes what they used."""
        for task in self._tasks:
            task.cancel()
        await self._queue.close(CLOSE_SECONDS)
        await self._release()
        logger.info("stopped")

    async def _begin(self) -> None:
        settings = self.settings
        context = Context(settings, self._kubernetes, self._http, self._cache, self._metrics)
        self._queue = WorkQueue(
            Reconciler(context).reconcile, settings.concurrency, settings.resync_seconds
        )
        self._metrics.depth.set_function(lambda: self._queue.depth)
        health = Health(SILENCE_SECONDS, lambda: self._queue.longest_pass)
        await self._listen(health)
        refresher = Refresher(
            self._kubernetes, self._cache, self._queue, health, settings.namespaces
        )
        await refresher.fill()
        self._queue.open()
        self._tasks.append(asyncio.create_task(refresher.run(LIST_SECONDS)))

    async def _release(self) -> None:
        """Closes ports and connections."""
        for server in self._servers:
            await server.cleanup()
        self._servers.clear()
        await self._http.close()
        self._kubernetes.close()

    def job_changed(self, change: str | None, raw: Object) -> None:
        """A watch showed a job; change None is the initial list."""
        gone = change == "DELETED"
        self._queue.wake(self._cache.drop_job(raw) if gone else self._cache.put_job(raw))

    def child_changed(self, kind: Children, change: str | None, raw: Object) -> None:
        """A watch showed a RayCluster or a pod of a job."""
        gone = change == "DELETED"
        key = self._cache.drop_child(kind, raw) if gone else self._cache.put_child(kind, raw)
        if key is not None and self._cache.job(key) is not None:
            self._queue.wake(key)

    async def _listen(self, health: Health) -> None:
        settings, registry = self.settings, self._metrics.registry
        routes = {"/metrics": lambda: metrics_answer(registry)}
        probes = {"/healthz": lambda: health_answer(health)}
        self._servers.append(await serve(settings.metrics_port, routes))
        self._servers.append(await serve(settings.health_port, probes))
