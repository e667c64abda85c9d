"""Lists everything now and then: fills the cache before the first pass, heals what a watch missed,
and proves to /healthz that the API server answers and the watches are alive."""

import asyncio
import logging

from rlhf_operator import names
from rlhf_operator.cache import Cache, Children, JobKey, is_older, key_of, owner_key
from rlhf_operator.clients.api_errors import ApiError, NoSuchKind
from rlhf_operator.clients.kubernetes import (
    JOBS,
    PODS,
    RAY_CLUSTERS,
    KubernetesClient,
    Object,
    Resource,
)
from rlhf_operator.health import Health
from rlhf_operator.workqueue import WorkQueue

logger = logging.getLogger(__name__)

LISTED: dict[Children, Resource] = {"rayclusters": RAY_CLUSTERS, "pods": PODS}
SETTLE_SECONDS = 5.0
"""How long a watch may lag behind a list before that counts as missed."""


class Refresher:
    """Lists the watched namespaces."""

    def __init__(
        self,
        kubernetes: KubernetesClient,
        cache: Cache,
        queue: WorkQueue,
        health: Health,
        namespaces: tuple[str, ...],
    ) -> None:
        self._kubernetes = kubernetes
        self._cache = cache
        self._queue = queue
        self._health = health
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._misses = 0

    async def fill(self) -> None:
        """Before the first pass: every job and every child, so that no pass finds a child lost
        that a watch has only not shown yet."""
        for kind, resource in LISTED.items():
            self._cache.replace_children(kind, await self._list(resource, names.LABEL_JOB))
        for raw in await self._list(JOBS):
            self._queue.wake(self._cache.put_job(raw))
        self._health.listed()

    async def run(self, pause: float) -> None:
        """Lists again for ever, every `pause` seconds."""
        while True:
            await asyncio.sleep(pause)
            try:
                await self.heal()
            except ApiError as error:
                logger.warning("list failed: %s", error)

    async def heal(self) -> None:
        """Takes over what lists show and watches have not, and wakes those jobs."""
        jobs = await self._list(JOBS)
        children = {
            kind: await self._list(resource, names.LABEL_JOB) for kind, resource in LISTED.items()
        }
        self._health.listed()
        await asyncio.sleep(SETTLE_SECONDS)
        missed = self._take_jobs(jobs)
        for kind, raws in children.items():
            missed |= self._take_children(kind, raws)
        self._misses = self._misses + 1 if missed else 0
        self._health.watch_errors = (
            [f"watches miss changes: {len(missed)} jobs in each of the last lists"]
            if self._misses > 1
            else []
        )
        for key in missed:
            logger.warning("a watch missed a change of job=%s/%s", *key)
            self._queue.wake(key)

    def _take_jobs(self, raws: list[Object]) -> set[JobKey]:
        missed = set()
        for raw in raws:
            known = self._cache.job(key_of(raw))
            if known is None or is_older(known, raw):
                missed.add(self._cache.put_job(raw))
        return missed

    def _take_children(self, kind: Children, raws: list[Object]) -> set[JobKey]:
        missed = set()
        for raw in raws:
            key = owner_key(raw)
            if key is None or self._cache.job(key) is None:
                continue
            known = {c["metadata"]["name"]: c for c in self._cache.children(kind, key)}
            cached = known.get(raw["metadata"]["name"])
            if cached is not None and is_older(cached, raw):
                self._cache.put_child(kind, raw)
                missed.add(key)
        return missed

    async def _list(self, resource: Resource, label: str | None = None) -> list[Object]:
        found: list[Object] = []
        selectors = {"labelSelector": label} if label else {}
        for namespace in self._namespaces:
            try:
                found += await self._kubernetes.list_all(resource, namespace, **selectors)
            except NoSuchKind:
                logger.info("%s is not served yet", resource.plural)
        return found
