"""An API server, a KubeRay and heads in memory, for whole passes of the reconciler.

The real ones are met in tests/cluster; here every request may fail, which the real ones do not do
on demand.
"""

import asyncio
import base64
import copy
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError

from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator import names
from rlhf_operator.cache import Cache, JobKey, key_of
from rlhf_operator.clients.api_errors import ApiError, Conflict, Invalid, NotFound
from rlhf_operator.clients.head_http import head_session
from rlhf_operator.clients.kubernetes import JOBS, Resource
from rlhf_operator.clock import Clock
from rlhf_operator.context import Context
from rlhf_operator.metrics import OperatorMetrics
from rlhf_operator.reconcile import Reconciler
from rlhf_operator.settings import Settings
from rlhf_operator.slots import Slot
from rlhf_operator.state.situation import Limits
from rlhf_operator.workqueue import Gone

Object = dict[str, Any]
KEY = JobKey("team-a", "demo")
Hostile = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse | None]]


class FakeKubernetes:
    """Objects by kind, namespace and name; versions, finalizers, owners; faults when asked for."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str | None, str], Object] = {}
        self.version = 0
        self.fault: Callable[[str, str], None] = lambda verb, kind: None
        self.calls: list[tuple[str, str]] = []
        self.is_kuberay_there = True
        self.judge_status: Callable[[Object], None] = lambda status: None

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        self._called("get", resource)
        return copy.deepcopy(self._find(resource, namespace, name))

    async def list_all(self, resource: Resource, namespace: str | None, **_: str) -> list[Object]:
        self._called("list", resource)
        return [
            copy.deepcopy(o) for (kind, *_), o in self.objects.items() if kind == resource.plural
        ]

    async def serves(self, api_version: str) -> bool:
        return self.is_kuberay_there

    async def create(
        self, resource: Resource, namespace: str, body: Object, dry_run: bool = False
    ) -> Object:
        self._called("dry-run" if dry_run else "create", resource)
        name = body["metadata"]["name"]
        if (resource.plural, namespace, name) in self.objects:
            raise Conflict(409, "AlreadyExists", name)
        made = body if dry_run else self.put(resource, namespace, body)
        return copy.deepcopy(made)

    async def apply(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        self._called("apply", resource)
        return copy.deepcopy(self.put(resource, namespace, body))

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, body: Object, subresource: str = ""
    ) -> Object:
        self._called("status" if subresource else "patch", resource)
        found = self._find(resource, namespace, name)
        expected = body.get("metadata", {}).get("resourceVersion")
        if expected is not None and expected != found["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", name)
        changed = copy.deepcopy(found)
        merge(changed, copy.deepcopy(body))
        if subresource:
            self._judge(changed["status"])
        found.clear()
        found.update(changed)
        self._touch(found)
        self._collect(resource, namespace, name)
        return copy.deepcopy(found)

    async def json_patch(
        self, resource: Resource, namespace: str, name: str, operations: list[Object]
    ) -> Object:
        """Knows `test`, `add` and `replace` of fields."""
        self._called("patch", resource)
        found = self._find(resource, namespace, name)
        for operation in operations:
            *path, last = operation["path"].strip("/").split("/")
            place: Any = found
            for part in path:
                place = place[int(part)] if isinstance(place, list) else place[part]
            if operation["op"] != "test":
                place[last] = operation["value"]
            if place.get(last) != operation["value"]:
                raise Invalid(422, "Invalid", f"{operation['path']} is {place.get(last)}")
        self._touch(found)
        self._collect(resource, namespace, name)
        return copy.deepcopy(found)

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str | None = None
    ) -> None:
        self._called("delete", resource)
        found = self._find(resource, namespace, name)
        if uid is not None and found["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", name)
        found["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
        self._collect(resource, namespace, name)

    def _judge(self, status: Object) -> None:
        """As the CRD's schema does it, and whatever else refuses statuses."""
        try:
            RLHFJobStatus.from_manifest(status)
        except ValidationError as error:
            raise Invalid(422, "Invalid", str(error)) from error
        self.judge_status(status)

    def put(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        """Stores an object as the server would."""
        stored = copy.deepcopy(body)
        stored["metadata"].setdefault("uid", f"uid-{self.version}")
        self.objects[(resource.plural, namespace, stored["metadata"]["name"])] = stored
        self._touch(stored)
        return stored

    def kind(self, plural: str) -> list[Object]:
        return [stored for (kind, *_), stored in self.objects.items() if kind == plural]

    def _called(self, verb: str, resource: Resource) -> None:
        self.calls.append((verb, resource.plural))
        self.fault(verb, resource.plural)

    def _find(self, resource: Resource, namespace: str | None, name: str) -> Object:
        found = self.objects.get((resource.plural, namespace, name))
        if found is None:
            raise NotFound(404, "NotFound", f"{resource.plural} {name!r} not found")
        return found

    def _touch(self, stored: Object) -> None:
        self.version += 1
        stored["metadata"]["resourceVersion"] = str(self.version)

    def _collect(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Forgets what is deleted and has no finalizer, and its children with it."""
        found = self.objects.get((resource.plural, namespace, name))
        if found is None or "deletionTimestamp" not in found["metadata"]:
            return
        if found["metadata"].get("finalizers"):
            return
        uid = found["metadata"]["uid"]
        self.objects = {
            key: stored
            for key, stored in self.objects.items()
            if stored is not found
            and uid not in [o["uid"] for o in stored["metadata"].get("ownerReferences", [])]
        }


def merge(target: Object, patch: Object) -> None:
    """RFC 7386."""
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict) and isinstance(target.get(name), dict):
            merge(target[name], value)
        else:
            target[name] = value


class World:
    """One job on a cluster in memory, its heads answered by a real HTTP server."""

    def __init__(self, build: Any, job: Object) -> None:
        self.build = build
        self.kubernetes = FakeKubernetes()
        self.drivers: dict[str, Object] = {}
        self.submissions: list[str] = []
        self.stops: list[str] = []
        self.progress: Object | None = None
        self.is_dead = False
        self.stubborn = False
        self.hostile: Hostile | None = None
        self.url = ""
        runtime = {"metadata": {"name": "cpu"}, "spec": build.runtime().to_manifest()}
        from_kind = Resource("openrlhf.io/v1alpha1", "clusterrlhfruntimes")
        self.kubernetes.put(from_kind, None, runtime)
        self.kubernetes.put(JOBS, "team-a", job)

    @property
    def job(self) -> Object:
        (found,) = self.kubernetes.kind("rlhfjobs")
        return found

    @property
    def status(self) -> Object:
        status: Object = self.job.get("status", {})
        return status

    def message(self, name: str) -> str:
        """What a condition says."""
        conditions = self.status.get("conditions", [])
        return next((c.get("message", "") for c in conditions if c["type"] == name), "")

    def condition(self, name: str) -> tuple[str, str]:
        for condition in self.status.get("conditions", []):
            if condition["type"] == name:
                return condition["status"], condition["reason"]
        return "", ""

    def run_kuberay(self) -> None:
        """Every RayCluster has its token, its head and its workers, ready at once."""
        for cluster in self.kubernetes.kind("rayclusters"):
            name, uid = cluster["metadata"]["name"], cluster["metadata"]["uid"]
            owner = {"ownerReferences": [{"uid": uid, "controller": True}]}
            token = base64.b64encode(b"secret").decode()
            secret = {"metadata": {"name": name, **owner}, "data": {"auth_token": token}}
            service = {"metadata": {"name": names.head_service(name), **owner}, "spec": {}}
            for kind, made in (("secrets", secret), ("services", service)):
                if (kind, "team-a", made["metadata"]["name"]) not in self.kubernetes.objects:
                    self.kubernetes.put(Resource("v1", kind), "team-a", made)
            for group in ("headgroup", *(g["groupName"] for g in _groups(cluster))):
                self._ensure_pod(cluster, group)

    def _ensure_pod(self, cluster: Object, group: str) -> None:
        metadata = cluster["metadata"]
        name = f"{metadata['name']}-{group}"
        reference = {"kind": "RayCluster", "name": metadata["name"], "uid": metadata["uid"]}
        owner = {"ownerReferences": [{**reference, "controller": True}]}
        if ("pods", "team-a", name) in self.kubernetes.objects:
            return
        labels = {
            **cluster["metadata"]["labels"],
            "ray.io/cluster": cluster["metadata"]["name"],
            "ray.io/group": group,
            "ray.io/node-type": "head" if group == "headgroup" else "worker",
        }
        pod = {
            "metadata": {"name": name, "namespace": "team-a", "labels": labels, **owner},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        self.kubernetes.put(Resource("v1", "pods"), "team-a", pod)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._answer])
        application.router.add_get("/api/jobs/{id}", self._get)
        application.router.add_get("/api/jobs/{id}/logs", self._logs)
        application.router.add_post("/api/jobs/{id}/stop", self._stop)
        application.router.add_post("/api/jobs/", self._submit)
        application.router.add_get("/progress", self._progress)
        return application

    @web.middleware
    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """What the hostile head says, when there is one and it says something."""
        said = await self.hostile(request) if self.hostile is not None else None
        if said is not None:
            return said
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _get(self, request: web.Request) -> web.Response:
        if self.is_dead:
            return web.Response(status=503)
        job = self.drivers.get(request.match_info["id"])
        return web.json_response(job) if job else web.Response(status=404)

    async def _logs(self, request: web.Request) -> web.Response:
        return web.json_response({"logs": self.drivers[request.match_info["id"]].get("log", "")})

    async def _stop(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        self.stops.append(name)
        if not self.stubborn:
            self.drivers[name] = {"status": "STOPPED"}
        return web.json_response({"stopped": True})

    async def _submit(self, request: web.Request) -> web.Response:
        name = (await request.json())["submission_id"]
        self.submissions.append(name)
        self.drivers[name] = {"status": "RUNNING"}
        return web.json_response({})

    async def _progress(self, request: web.Request) -> web.Response:
        return web.json_response(self.progress) if self.progress else web.Response(status=503)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator["Passes"]:
        """An operator that has just started on this world."""
        runner = web.AppRunner(self.application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with head_session() as session:
                yield Passes(self, session)
        finally:
            await runner.cleanup()


class Passes:
    """The reconciler with an empty memory; the cache is what a list shows before each pass."""

    def __init__(self, world: World, session: aiohttp.ClientSession) -> None:
        self.world = world
        self.session = session
        self.metrics = OperatorMetrics()
        self.turned = 0.0
        self.on_locate: Callable[[str], None] = lambda host: None
        self.restart()

    def turn_clock(self, seconds: float) -> None:
        """So much later, in no time."""
        self.turned += seconds

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.turned)

    def _locate(self, host: str, port: int) -> str:
        self.on_locate(host)
        return self.world.url

    def restart(self) -> None:
        """Forgets everything, as a killed operator does."""
        self.cache = Cache()
        self.slots = asyncio.Semaphore(1)
        limits = Limits(status=0)
        settings = Settings(default_runtime="cpu", limits=limits)
        context = Context(
            settings,
            self.world.kubernetes,  # type: ignore[arg-type]
            self.session,
            self.cache,
            self.metrics,
            clock=Clock(self._now, lambda: time.monotonic() + self.turned),
            locate=self._locate,
        )
        self.reconciler = Reconciler(context)

    async def run(self, count: int = 1) -> float | None:
        """So many passes, with KubeRay at work between them."""
        delay = None
        for _ in range(count):
            self.fill()
            try:
                async with self.slots:
                    delay = await self.reconciler.reconcile(KEY, Slot(self.slots))
            except Gone:
                return None
            self.world.run_kuberay()
        return delay

    def fill(self) -> None:
        """The cache as a fresh list fills it."""
        kubernetes = self.world.kubernetes
        known = self.cache.job(KEY)
        if known is not None:
            self.cache.drop_job(known)
        for job in kubernetes.kind("rlhfjobs"):
            assert key_of(job) == KEY
            self.cache.put_job(copy.deepcopy(job))
        self.cache.replace_children("rayclusters", copy.deepcopy(kubernetes.kind("rayclusters")))
        self.cache.replace_children("pods", copy.deepcopy(kubernetes.kind("pods")))


def _groups(cluster: Object) -> list[Object]:
    groups: list[Object] = cluster["spec"]["workerGroupSpecs"]
    return groups


class Faults:
    """Requests that fail now and then, before or after they took effect on the server."""

    def __init__(self, seed: int, chance: float) -> None:
        self.random, self.chance = random.Random(seed), chance

    def __call__(self, verb: str, kind: str) -> None:
        if self.random.random() < self.chance:
            raise ApiError(503, "ServiceUnavailable", f"{verb} {kind}")


@pytest.fixture
def make_world(build: Any) -> Callable[..., World]:
    """`make_world(**spec)`: a world with one job that was just applied."""

    def make(**spec: Any) -> World:
        return World(build, build.raw_job(**spec))

    return make


@pytest.fixture
def faults() -> type[Faults]:
    """Faults for `world.kubernetes.fault`."""
    return Faults


@pytest.fixture
def play() -> Callable[[World, Callable[[Passes], Coroutine[Any, Any, None]]], None]:
    """Runs a story with an operator on a world."""

    def run(world: World, story: Callable[[Passes], Coroutine[Any, Any, None]]) -> None:
        async def inside() -> None:
            async with world.operator() as passes:
                await story(passes)

        asyncio.run(asyncio.wait_for(inside(), 60))

    return run
