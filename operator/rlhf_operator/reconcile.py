"""One pass over one job: observe, decide, act, and at most one status write.

Nothing is kept in memory between passes that could not be lost. Before a pass acts it makes sure
that it judged the newest version of the job.
"""

import logging
import time
from datetime import UTC, datetime

from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator.cache import JobKey, version_of
from rlhf_operator.clients.api_errors import Conflict, Denied, NotFound
from rlhf_operator.clients.kubernetes import JOBS, Object
from rlhf_operator.conditions import Reason
from rlhf_operator.context import Context
from rlhf_operator.findings import Finding
from rlhf_operator.observe import Observer
from rlhf_operator.perform import ActFailed, Performer
from rlhf_operator.preflight import rule_findings
from rlhf_operator.state.decide import Decision, decide
from rlhf_operator.state.policies.validation import unreadable_status
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import RemoveFinalizer
from rlhf_operator.state.times import to_text
from rlhf_operator.status_write import write_status
from rlhf_operator.workqueue import Gone

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0


class Reconciler:
    """Passes over jobs, counted."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def reconcile(self, key: JobKey) -> float | None:
        """Seconds after which to look again, or None. Raises Gone when there is no such job."""
        raw = self._context.cache.job(key)
        metrics = self._context.metrics
        if raw is None:
            metrics.forget_job(key)
            self._context.memo.forget(key)
            raise Gone(key)
        started, result = time.monotonic(), "error"
        try:
            delay = await self._pass(key, raw)
            result = "success"
            metrics.last_success.set_to_current_time()
        except Conflict:
            result = "conflict"
            await self._refresh(key)
            delay = 0.0
        finally:
            metrics.passes.labels(result).inc()
            metrics.seconds.observe(time.monotonic() - started)
        return delay

    async def _pass(self, key: JobKey, raw: Object) -> float | None:
        now = datetime.now(UTC)
        job, broken = rule_findings(raw)
        status = RLHFJobStatus.from_manifest(raw.get("status") or {})
        if status.attempt is not None and job is not None:
            broken = ()
        if job is None or broken:
            return await self._pass_unreadable(key, raw, status, broken, now)
        observer = Observer(self._context, key, job, status)
        limits = self._context.settings.limits
        try:
            observed = await observer.observe()
        except Denied as error:
            if status.attempt is not None or "deletionTimestamp" in raw["metadata"]:
                raise
            denied = Finding(Reason.API_DENIED, f"the operator may not look: {error.message}")
            return await self._pass_unreadable(key, raw, status, (denied,), now)
        situation = Situation(job, status, observed, now, limits)
        decision = decide(situation)
        if decision.acts and await self._is_outdated(key, raw):
            return 0.0
        return await self._carry_out(key, raw, observer, situation, decision)

    async def _carry_out(
        self, key: JobKey, raw: Object, observer: Observer, situation: Situation, decision: Decision
    ) -> float | None:
        """Performs the acts in order, up to the first that fails, then writes the status."""
        performer = Performer(self._context, key, raw, observer, situation)
        status, delay = decision.status, decision.requeue_seconds
        for act in decision.acts:
            try:
                await performer.perform(act)
            except ActFailed as failure:
                logger.warning("act failed job=%s/%s %s", *key, failure)
                status, delay = decision.status_on_failure(str(failure)), RETRY_SECONDS
                break
            logger.info("act=%s job=%s/%s", type(act).__name__, *key)
            if isinstance(act, RemoveFinalizer):
                return None
        return await self._write(key, performer.job, status, situation.now, delay)

    async def _pass_unreadable(
        self,
        key: JobKey,
        raw: Object,
        status: RLHFJobStatus,
        findings: tuple[Finding, ...],
        now: datetime,
    ) -> float | None:
        """A job that breaks a rule of its kind: say so, hold nothing, let it go when deleted."""
        if "deletionTimestamp" in raw["metadata"]:
            await self._release(key, raw)
            return None
        new = unreadable_status(status, findings, raw["metadata"].get("generation"), now)
        return await self._write(key, raw, new, now, None)

    async def _release(self, key: JobKey, raw: Object) -> None:
        """Takes our finalizer off a job that can not be read; its children go with it."""
        finalizers = raw["metadata"].get("finalizers", [])
        kept = [name for name in finalizers if not name.startswith("openrlhf.io/")]
        body = {
            "metadata": {
                "finalizers": kept,
                "resourceVersion": raw["metadata"]["resourceVersion"],
            }
        }
        try:
            await self._context.kubernetes.merge_patch(JOBS, *key, body)
        except NotFound:
            return

    async def _write(
        self, key: JobKey, job: Object, status: RLHFJobStatus, now: datetime, delay: float | None
    ) -> float | None:
        try:
            due = await write_status(self._context, key, job, status, to_text(now))
        except NotFound:
            self._context.cache.drop_job(job)
            return 0.0
        self._context.metrics.show_job(key, status)
        waits = [seconds for seconds in (due, delay) if seconds is not None]
        return min(waits) if waits else None

    async def _is_outdated(self, key: JobKey, raw: Object) -> bool:
        """Whether the job changed since it was judged; the cache then has the newest."""
        await self._refresh(key)
        newest = self._context.cache.job(key)
        return newest is None or version_of(newest) != version_of(raw)

    async def _refresh(self, key: JobKey) -> None:
        try:
            self._context.cache.put_job(await self._context.kubernetes.get(JOBS, *key))
        except NotFound:
            known = self._context.cache.job(key)
            if known is not None:
                self._context.cache.drop_job(known)
