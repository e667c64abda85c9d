"""Acts become requests. Each may be made twice with the effect of once; children that belong to
somebody else are never touched."""

from collections.abc import Awaitable, Callable
from typing import Any

from rlhf_operator import names
from rlhf_operator.cache import JobKey
from rlhf_operator.clients import ray
from rlhf_operator.clients.api_errors import ApiError, Conflict, NotFound
from rlhf_operator.clients.head_http import NoAnswer
from rlhf_operator.clients.kubernetes import (
    CLAIMS,
    CONFIG_MAPS,
    JOBS,
    NETWORK_POLICIES,
    RAY_CLUSTERS,
    Object,
    Resource,
)
from rlhf_operator.context import Context
from rlhf_operator.desired.blueprint import Blueprint
from rlhf_operator.desired.config_map import config_map, run_config
from rlhf_operator.desired.network_policy import network_policy
from rlhf_operator.desired.ray_cluster import ray_cluster, workers_to_zero
from rlhf_operator.desired.storage import output_claim
from rlhf_operator.heads import head_of
from rlhf_operator.observe import Observer
from rlhf_operator.ownership import is_owned_by
from rlhf_operator.release import remove_finalizer
from rlhf_operator.slots import Slot
from rlhf_operator.state import step as acts
from rlhf_operator.state.situation import Situation

TAKING = (acts.CreateCluster, acts.SubmitDriver)
"""Acts that take devices: they must be recorded, so that they are not done again elsewhere."""
ENTRYPOINT = "python -m openrlhf_core drive {path} --attempt {attempt}"


class ActFailed(Exception):
    """An act could not be done now; the message says which and why."""


class Performer:
    """Performs the acts of one pass over one job."""

    def __init__(
        self,
        context: Context,
        key: JobKey,
        raw: Object,
        observer: Observer,
        situation: Situation,
        *,
        slot: Slot,
    ) -> None:
        self._context = context
        self._key = key
        self._observer = observer
        self._situation = situation
        self._slot = slot
        self.job = raw
        """The job object; newer after an act that changed it."""

    async def perform(self, act: acts.Act) -> None:
        """Does it. Raises ActFailed."""
        if isinstance(act, TAKING) and self._key in self._context.memo.unwritten:
            raise ActFailed(f"{type(act).__name__}: not before the status can be written again")
        try:
            await PERFORM[type(act)](self, act)
        except (ApiError, NoAnswer) as error:
            said = error.message if isinstance(error, ApiError) else str(error)
            raise ActFailed(f"{type(act).__name__}: {said}") from error

    async def ensure_finalizer(self, act: acts.EnsureFinalizer) -> None:
        finalizers = self.job["metadata"].get("finalizers", [])
        if names.FINALIZER not in finalizers:
            await self._set_finalizers([*finalizers, names.FINALIZER])

    async def remove_finalizer(self, act: acts.RemoveFinalizer) -> None:
        patched = await remove_finalizer(self._context, self._key, self.job)
        if patched is not None:
            self.job = patched
            self._context.cache.put_job(patched)

    async def delete_job(self, act: acts.DeleteJob) -> None:
        await self._delete(JOBS, self._key.name, self.job["metadata"]["uid"])

    async def prepare_children(self, act: acts.PrepareChildren) -> None:
        """Snapshot and claim are made once; the policy is brought back when it was removed."""
        blueprint = self._blueprint()
        assert self._observer.runtime is not None
        job, output = blueprint.job, blueprint.output
        kind = blueprint.runtime.device.kind
        training = self._situation.job.spec.training
        config = run_config(job, training, output, kind, blueprint.grace_seconds)
        snapshot = config_map(job, config, self._observer.runtime)
        await self._create(CONFIG_MAPS, snapshot, is_ours=True)
        if output.size is not None:
            claim = output_claim(job.name, job.uid, job.namespace, output)
            await self._create(CLAIMS, claim, is_ours=False)
        settings = self._context.settings
        policy = network_policy(job, settings.own_namespace, settings.monitoring_namespace)
        name = policy["metadata"]["name"]
        await self._context.kubernetes.apply(NETWORK_POLICIES, job.namespace, name, policy)

    async def remove_policy(self, act: acts.RemovePolicy) -> None:
        await self._delete(NETWORK_POLICIES, names.network_policy_name(self._key.name), None)

    async def create_cluster(self, act: acts.CreateCluster) -> None:
        body = ray_cluster(self._blueprint(), act.name).to_object()
        made = await self._create(RAY_CLUSTERS, body, is_ours=True)
        self._context.cache.put_child("rayclusters", made)

    async def delete_cluster(self, act: acts.DeleteCluster) -> None:
        await self._delete(RAY_CLUSTERS, act.name, act.uid)
        self._context.memo.heads.pop(act.uid, None)

    async def delete_workers(self, act: acts.DeleteWorkers) -> None:
        assert self._observer.cluster is not None
        operations = workers_to_zero(self._observer.cluster)
        namespace = self._key.namespace
        patched = await self._context.kubernetes.json_patch(
            RAY_CLUSTERS, namespace, act.name, operations
        )
        self._context.cache.put_child("rayclusters", patched)

    async def submit_driver(self, act: acts.SubmitDriver) -> None:
        assert self._observer.cluster is not None
        entrypoint = ENTRYPOINT.format(path=names.RUN_CONFIG_PATH, attempt=act.attempt)
        grace = int(self._situation.grace)
        async with self._slot.left():
            head = await head_of(self._context, self._observer.cluster)
            await ray.submit(self._context.http, head, act.submission_id, entrypoint, grace)

    async def stop_driver(self, act: acts.StopDriver) -> None:
        assert self._observer.cluster is not None
        async with self._slot.left():
            head = await head_of(self._context, self._observer.cluster)
            await ray.stop(self._context.http, head, act.submission_id)

    def _blueprint(self) -> Blueprint:
        if self._observer.blueprint is None:
            raise ActFailed("the job is not resolved")
        return self._observer.blueprint

    async def _set_finalizers(self, finalizers: list[str]) -> None:
        metadata = self.job["metadata"]
        body = {
            "metadata": {"finalizers": finalizers, "resourceVersion": metadata["resourceVersion"]}
        }
        try:
            patched = await self._context.kubernetes.merge_patch(
                JOBS, self._key.namespace, self._key.name, body
            )
        except NotFound:
            return
        self.job = patched
        self._context.cache.put_job(patched)

    async def _create(self, resource: Resource, body: Object, is_ours: bool) -> Object:
        """The object, made now or before. ActFailed when it is somebody else's."""
        name, client = body["metadata"]["name"], self._context.kubernetes
        try:
            return await client.create(resource, self._key.namespace, body)
        except Conflict:
            found = await client.get(resource, self._key.namespace, name)
        if is_ours and not is_owned_by(found, self._situation.job.metadata.uid or ""):
            raise ActFailed(f"{resource.plural} {name!r} is there and belongs to somebody else")
        return found

    async def _delete(self, resource: Resource, name: str, uid: str | None) -> None:
        """Gone, or another object of that name: both are what was wanted."""
        try:
            await self._context.kubernetes.delete(resource, self._key.namespace, name, uid)
        except (NotFound, Conflict):
            return


PERFORM: dict[type[Any], Callable[[Performer, Any], Awaitable[None]]] = {
    acts.EnsureFinalizer: Performer.ensure_finalizer,
    acts.RemoveFinalizer: Performer.remove_finalizer,
    acts.DeleteJob: Performer.delete_job,
    acts.PrepareChildren: Performer.prepare_children,
    acts.RemovePolicy: Performer.remove_policy,
    acts.CreateCluster: Performer.create_cluster,
    acts.DeleteCluster: Performer.delete_cluster,
    acts.DeleteWorkers: Performer.delete_workers,
    acts.SubmitDriver: Performer.submit_driver,
    acts.StopDriver: Performer.stop_driver,
}
