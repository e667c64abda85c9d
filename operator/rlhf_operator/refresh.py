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

Seen = dict[str, Object]
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
        *,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._kubernetes = kubernetes
        self._cache = cache
        self._queue = queue
        self._health = health
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._settle_seconds = settle_seconds
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
        keys = set(self._cache.job_keys())
        before = {kind: self._seen(kind) for kind in LISTED}
        jobs = await self._list(JOBS)
        children = {
            kind: await self._list(resource, names.LABEL_JOB) for kind, resource in LISTED.items()
        }
        self._health.listed()
        await asyncio.sleep(self._settle_seconds)
        missed = self._take_jobs(jobs, keys) | self._drop_jobs(keys - {key_of(raw) for raw in jobs})
        for kind, raws in children.items():
            missed |= self._take_children(kind, raws, before[kind])
        self._misses = self._misses + 1 if missed else 0
        self._health.watch_errors = (
            [f"watches miss changes: {len(missed)} jobs in each of the last lists"]
            if self._misses > 1
            else []
        )
        for key in missed:
            logger.warning("a watch missed a change of job=%s/%s", *key)
            self._queue.wake(key)

    def _take_jobs(self, raws: list[Object], before: set[JobKey]) -> set[JobKey]:
        """Takes over newer and new jobs; one that was known and is no more went since the list."""
        missed = set()
        for raw in raws:
            known = self._cache.job(key_of(raw))
            is_new = known is None and key_of(raw) not in before
            if is_new or (known is not None and is_older(known, raw)):
                missed.add(self._cache.put_job(raw))
        return missed

    def _drop_jobs(self, keys: set[JobKey]) -> set[JobKey]:
        """Forgets jobs that were known before the list and are not in it."""
        gone = {key: raw for key in keys if (raw := self._cache.job(key)) is not None}
        return {self._cache.drop_job(raw) for raw in gone.values()}

    def _take_children(self, kind: Children, raws: list[Object], before: Seen) -> set[JobKey]:
        """Takes over newer versions; what was known before the list and is not in it is gone."""
        missed, listed = set(), {uid_of(raw) for raw in raws}
        for raw in raws:
            key = owner_key(raw)
            cached = self._cached(kind, raw) if key is not None else None
            if key is not None and cached is not None and is_older(cached, raw):
                self._cache.put_child(kind, raw)
                missed.add(key)
        for uid, raw in before.items():
            if uid not in listed and self._cached(kind, raw) is not None:
                key = self._cache.drop_child(kind, raw)
                missed |= {key} if key is not None else set()
        return missed

    def _cached(self, kind: Children, raw: Object) -> Object | None:
        """The very object, as the cache has it now."""
        key = owner_key(raw)
        known = self._cache.children(kind, key) if key is not None else []
        return next((child for child in known if uid_of(child) == uid_of(raw)), None)

    def _seen(self, kind: Children) -> Seen:
        """Every child that the cache has now, by uid."""
        keys = self._cache.job_keys()
        return {uid_of(raw): raw for key in keys for raw in self._cache.children(kind, key)}

    async def _list(self, resource: Resource, label: str | None = None) -> list[Object]:
        found: list[Object] = []
        selectors = {"labelSelector": label} if label else {}
        for namespace in self._namespaces:
            try:
                found += await self._kubernetes.list_all(resource, namespace, **selectors)
            except NoSuchKind:
                logger.info("%s is not served yet", resource.plural)
        return found


def uid_of(raw: Object) -> str:
    """The object's uid."""
    return str(raw["metadata"].get("uid", ""))
