"""Looks at everything that a job has and returns it as Observed. Reads only.

Watches feed the cache. Where a decision rests on what is missing (a cluster or a head that is
gone), the API server is asked first, because the cache may lag behind.
"""

from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.runtime import RLHFRuntimeSpec
from openrlhf_core.spec.kinds.status import RLHFJobStatus
from openrlhf_core.spec.planning.plan import plan_hash
from rlhf_operator import names
from rlhf_operator.cache import JobKey
from rlhf_operator.clients.api_errors import NoSuchKind
from rlhf_operator.clients.kubernetes import (
    CLAIMS,
    CONFIG_MAPS,
    EVENTS,
    NETWORK_POLICIES,
    PODS,
    RAY_CLUSTERS,
    Object,
)
from rlhf_operator.conditions import is_true
from rlhf_operator.context import Context
from rlhf_operator.desired.blueprint import Blueprint
from rlhf_operator.desired.config_map import runtime_from
from rlhf_operator.desired.resolve import resolve
from rlhf_operator.desired.storage import claim_of, is_shared, sub_path_of
from rlhf_operator.findings import Finding
from rlhf_operator.observe_head import HeadAnswer, ask_head
from rlhf_operator.ownership import is_owned_by, own_clusters, own_pods
from rlhf_operator.preflight import find_runtime, missing_findings, read
from rlhf_operator.slots import Slot
from rlhf_operator.state.kubernetes_objects import cluster_from, newest_warning, pod_from
from rlhf_operator.state.observed import Group, Observed, Pod, Resolved, Trouble


class Observer:
    """Looks once at one job; keeps the raw objects that it saw and the blueprint, for the acts."""

    def __init__(
        self,
        context: Context,
        key: JobKey,
        job: RLHFJob,
        status: RLHFJobStatus,
        slot: Slot,
    ) -> None:
        self._context = context
        self._slot = slot
        self._key = key
        self._job = job
        self._status = status
        self.blueprint: Blueprint | None = None
        self.runtime: RLHFRuntimeSpec | None = None
        self.cluster: Object | None = None

    async def observe(self) -> Observed:
        """Everything that decides what to do."""
        cached = self._context.cache.children("rayclusters", self._key)
        clusters = own_clusters(cached, self._key.name, self._uid)
        name = self._status.ray_cluster.name if self._status.ray_cluster else None
        self.cluster = next((raw for raw in clusters if raw["metadata"]["name"] == name), None)
        await self._confirm_cluster(name)
        pods = await self._pods(name)
        findings = () if self._is_finished else await self._resolve()
        answer = await self._ask_head() or HeadAnswer()
        event = await self._warning_about(pods)
        others = [raw for raw in clusters if raw["metadata"]["name"] != name]
        return Observed(
            findings=findings,
            resolved=self._resolved(),
            has_finalizer=names.FINALIZER in self._job.metadata.finalizers,
            has_policy=await self._has_policy(),
            cluster=cluster_from(self.cluster, event) if self.cluster else None,
            other_clusters=tuple(cluster_from(raw) for raw in others),
            pods=tuple(pod for pod in pods if pod.cluster == name),
            other_pods=tuple(pod for pod in pods if pod.cluster != name),
            was_asked=self._is_asking,
            driver=answer.driver,
            silence=answer.silence,
            progress=answer.progress,
            complaints=answer.complaints,
        )

    @property
    def _uid(self) -> str:
        return self._job.metadata.uid or ""

    @property
    def _is_live(self) -> bool:
        attempt = self._status.attempt
        return attempt is not None and attempt.end_time is None

    @property
    def _is_finished(self) -> bool:
        conditions = self._status.conditions
        return is_true(conditions, "Complete") or is_true(conditions, "Failed")

    @property
    def _is_asking(self) -> bool:
        """Whether the head is to be asked for the driver: it was submitted, and may still live."""
        attempt, head = self._status.attempt, self.cluster
        return self._is_live and head is not None and bool(attempt and attempt.submission_id)

    async def _confirm_cluster(self, name: str | None) -> None:
        """Reads the attempt's cluster anew when the cache has none, or not the one known."""
        known, cached = self._status.ray_cluster, self.cluster
        if not self._is_live or name is None or known is None:
            return
        is_expected = cached is not None and known.uid in (None, cached["metadata"]["uid"])
        if is_expected or (cached is None and known.uid is None):
            return
        try:
            found = await read(self._context, RAY_CLUSTERS, self._key.namespace, name)
        except NoSuchKind:  # KubeRay was taken away, and its RayClusters with it
            found = None
        own = own_clusters([found] if found else [], self._key.name, self._uid)
        self.cluster = own[0] if own else None

    async def _pods(self, cluster: str | None) -> list[Pod]:
        """Pods of the job; listed anew when the head that the driver runs on seems gone."""
        known = self._status.ray_cluster
        pods = self._cached_pods()
        if self._is_live and known is not None and known.head_pod_uid is not None:
            heads = [pod for pod in pods if pod.group == "head" and pod.cluster == cluster]
            if [pod.uid for pod in heads] != [known.head_pod_uid]:
                selector = f"{names.LABEL_JOB}={self._key.name}"
                fresh = await self._context.kubernetes.list_all(
                    PODS, self._key.namespace, labelSelector=selector
                )
                self._context.cache.replace_children_of("pods", self._key, fresh)
                pods = self._cached_pods()
        return pods

    def _cached_pods(self) -> list[Pod]:
        cache, key = self._context.cache, self._key
        pods, clusters = cache.children("pods", key), cache.children("rayclusters", key)
        return [pod_from(raw) for raw in own_pods(pods, clusters, key.name, self._uid)]

    async def _resolve(self) -> tuple[Finding, ...]:
        """Fills `runtime` and `blueprint`; finds what is wrong before the first attempt."""
        self.runtime = await self._snapshot()
        findings: tuple[Finding, ...] = ()
        if self.runtime is None:
            self.runtime, findings = await find_runtime(self._context, self._job)
        if self.runtime is None:
            return findings
        shared = await self._is_shared_claim()
        self.blueprint, findings = resolve(self._job, self.runtime, shared)
        if self.blueprint is not None and self._status.attempt is None:
            findings = await missing_findings(self._context, self.blueprint)
        return findings

    async def _snapshot(self) -> RLHFRuntimeSpec | None:
        """The runtime as it was when the first attempt began."""
        uid, memo = self._uid, self._context.memo.runtimes
        kept_uid, kept = memo.get(self._key, ("", None))
        if self._status.attempt is None or kept_uid == uid:
            return kept if kept_uid == uid else None
        name = names.config_map_name(self._key.name)
        raw = await read(self._context, CONFIG_MAPS, self._key.namespace, name)
        runtime = runtime_from(raw) if raw is not None and is_owned_by(raw, uid) else None
        if runtime is not None:
            memo[self._key] = (uid, runtime)
        return runtime

    async def _is_shared_claim(self) -> bool:
        """Asked for while a cluster is still to be made; afterwards it changes nothing."""
        assert self.runtime is not None
        output = self._job.spec.storage.output or self.runtime.storage.output
        if self.cluster is not None or output is None:
            return True
        claim = claim_of(self._key.name, output)
        return is_shared(output, await read(self._context, CLAIMS, self._key.namespace, claim))

    def _resolved(self) -> Resolved | None:
        if self.blueprint is None:
            return None
        job, output = self.blueprint.job, self.blueprint.output
        plan = self.blueprint.plan
        return Resolved(
            groups=tuple(Group(group.name, group.nodes, group.roles) for group in plan.groups),
            devices=plan.num_devices,
            plan_hash=plan_hash(plan),
            seed=self._job.spec.training.seed,
            claim_name=claim_of(job.name, output),
            output_path=sub_path_of(job.name, job.uid, output),
        )

    async def _ask_head(self) -> HeadAnswer | None:
        """What the head says, when it is to be asked."""
        attempt, cluster = self._status.attempt, self.cluster
        if not self._is_asking or cluster is None or attempt is None or not attempt.submission_id:
            return None
        async with self._slot.left():
            return await ask_head(self._context, cluster, attempt.submission_id)

    async def _warning_about(self, pods: list[Pod]) -> Trouble | None:
        """What KubeRay or a kubelet said in an event, where no status says anything."""
        if self.cluster is None or not self._is_live:
            return None
        waiting = [pod for pod in pods if not pod.is_ready and not pod.is_deleting]
        if not pods:
            return await self._event(self.cluster["metadata"]["uid"])
        stuck = [pod for pod in waiting if _is_mute(pod)]
        return await self._event(stuck[0].uid) if stuck else None

    async def _event(self, uid: str) -> Trouble | None:
        events = await self._context.kubernetes.list_all(
            EVENTS, self._key.namespace, fieldSelector=f"involvedObject.uid={uid}"
        )
        return newest_warning(events)

    async def _has_policy(self) -> bool:
        """Asked only where no pods should be left: of a finished or suspended job."""
        uid, bare = self._uid, self._context.memo.bare
        is_idle = self._job.spec.suspend and not self._is_live
        if not (self._is_finished or is_idle) or (self._is_finished and bare.get(self._key) == uid):
            return False
        name = names.network_policy_name(self._key.name)
        found = await read(self._context, NETWORK_POLICIES, self._key.namespace, name)
        if found is not None and is_owned_by(found, uid):
            return True
        if self._is_finished:
            bare[self._key] = uid
        return False


def _is_mute(pod: Pod) -> bool:
    """Whether a pod that waits says nothing useful itself: volumes fail in events only."""
    return pod.trouble is None or pod.trouble.reason in ("ContainerCreating", "PodInitializing")
