"""One pass over one job: observe, decide, act, and at most one status write.

What decisions rest on is in the objects; a restart loses nothing. Before a pass acts it makes sure
that it judged the newest version of the job. The acts come before the status, so that no status
holds them up. A pass that fails says so in the job's condition Degraded.
"""

import logging
import time
from dataclasses import dataclass, replace
from datetime import datetime

from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator.cache import JobKey, version_of
from rlhf_operator.clients.api_errors import ApiError, Conflict, Denied, NotFound
from rlhf_operator.clients.kubernetes import JOBS, Object
from rlhf_operator.conditions import Reason, phase_of, with_condition
from rlhf_operator.context import Context, Stop
from rlhf_operator.findings import Finding
from rlhf_operator.observe import Observer
from rlhf_operator.perform import ActFailed, Performer
from rlhf_operator.preflight import rule_findings
from rlhf_operator.release import release_by_force, remove_finalizer
from rlhf_operator.slots import Slot
from rlhf_operator.state.decide import Decision, decide
from rlhf_operator.state.policies.validation import unreadable_status
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.status.trusted import read_status
from rlhf_operator.state.step import Activity, DeleteCluster, RemoveFinalizer
from rlhf_operator.state.times import to_text
from rlhf_operator.status_write import StatusChange, degraded, write_status
from rlhf_operator.untrusted import clean_text
from rlhf_operator.workqueue import Gone

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
MAX_MESSAGE = 1000


@dataclass(frozen=True)
class Subject:
    """The job of a pass, as it stands in the cache."""

    key: JobKey
    raw: Object
    status: RLHFJobStatus
    """What of its status is to be believed."""
    complaints: tuple[Finding, ...]
    now: datetime

    @property
    def uid(self) -> str:
        return str(self.raw["metadata"].get("uid", ""))

    @property
    def is_deleted(self) -> bool:
        return "deletionTimestamp" in self.raw["metadata"]


class Reconciler:
    """Passes over jobs, counted."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def reconcile(self, key: JobKey, slot: Slot) -> float | None:
        """Seconds after which to look again, or None. Raises Gone when there is no such job."""
        raw = self._context.cache.job(key)
        metrics = self._context.metrics
        if raw is None:
            metrics.forget_job(key)
            self._context.memo.forget(key)
            raise Gone(key)
        started, result = time.monotonic(), "error"
        subject = self._subject(key, raw)
        try:
            delay = await self._pass(subject, slot)
            result = "success"
            self._context.memo.failing.pop(key, None)
            metrics.last_success.set_to_current_time()
        except Conflict:
            result = "conflict"
            await self._refresh(key)
            delay = 0.0
        except Exception as error:
            await self._after_failure(subject, error)
            raise
        finally:
            metrics.passes.labels(result).inc()
            metrics.seconds.observe(time.monotonic() - started)
        return delay

    def _subject(self, key: JobKey, raw: Object) -> Subject:
        now, uid = self._context.clock.now(), str(raw["metadata"].get("uid", ""))
        kept_uid, kept = self._context.memo.unwritten.get(key, ("", None))
        if kept is not None and kept_uid == uid:
            return Subject(key, raw, kept, (), now)
        status, complaints = read_status(raw.get("status"), key.name, uid, now)
        return Subject(key, raw, status, complaints, now)

    async def _pass(self, subject: Subject, slot: Slot) -> float | None:
        job, broken = rule_findings(subject.raw)
        status = subject.status
        if status.attempt is not None and job is not None:
            broken = ()
        if job is None or broken:
            return await self._pass_unreadable(subject, broken)
        observer = Observer(self._context, subject.key, job, status, slot)
        try:
            observed = await observer.observe()
        except Denied as error:
            if status.attempt is not None or subject.is_deleted:
                raise
            denied = Finding(Reason.API_DENIED, f"the operator may not look: {error.message}")
            return await self._pass_unreadable(subject, (denied,))
        observed = replace(observed, complaints=subject.complaints + observed.complaints)
        situation = Situation(
            job,
            status,
            observed,
            subject.now,
            self._context.settings.limits,
            self._stopping_since(subject, job),
        )
        decision = decide(situation)
        if decision.acts and await self._is_outdated(subject):
            return 0.0
        return await self._carry_out(subject, observer, decision, slot)

    def _stopping_since(self, subject: Subject, job: RLHFJob) -> datetime | None:
        """When this process first saw that the live attempt is being stopped."""
        attempt, stops = subject.status.attempt, self._context.memo.stops
        if attempt is None or attempt.end_time is not None:
            stops.pop(subject.key, None)
            return None
        known = stops.get(subject.key)
        if known is not None and (known.uid, known.attempt) == (subject.uid, attempt.number):
            return known.since
        if attempt.stop_time is None:
            return None
        stops[subject.key] = Stop(subject.uid, attempt.number, subject.now)
        return subject.now

    async def _carry_out(
        self, subject: Subject, observer: Observer, decision: Decision, slot: Slot
    ) -> float | None:
        """Performs the acts in order, up to the first that fails, then writes the status."""
        key, failure = subject.key, None
        performer = Performer(
            self._context, key, subject.raw, observer, decision.situation, slot=slot
        )
        delay = decision.requeue_seconds
        for act in decision.acts:
            try:
                await performer.perform(act)
            except ActFailed as error:
                logger.warning("act failed job=%s/%s %s", *key, error)
                if isinstance(act, DeleteCluster) and decision.activity is Activity.DELETING:
                    continue  # the API server collects it when the job is gone
                failure, delay = str(error), RETRY_SECONDS
                break
            logger.info("act=%s job=%s/%s", type(act).__name__, *key)
            if isinstance(act, RemoveFinalizer):
                return None
        status = decision.status if failure is None else decision.status_on_failure(failure)
        return await self._write(replace(subject, raw=performer.job), status, delay)

    async def _pass_unreadable(
        self, subject: Subject, findings: tuple[Finding, ...]
    ) -> float | None:
        """A job that breaks a rule of its kind: say so, hold nothing, let it go when deleted."""
        if subject.is_deleted:
            await remove_finalizer(self._context, subject.key, subject.raw)
            return None
        generation = subject.raw["metadata"].get("generation")
        new = unreadable_status(subject.status, findings, generation, subject.now)
        delay = await self._write(subject, new, None)
        await release_by_force(self._context, subject.key, subject.raw)
        return delay

    async def _write(
        self,
        subject: Subject,
        status: RLHFJobStatus,
        delay: float | None,
        is_urgent: bool = False,
    ) -> float | None:
        key, now = subject.key, to_text(subject.now)
        change = StatusChange(subject.raw, subject.status, status, now, is_urgent)
        try:
            due = await write_status(self._context, key, change)
        except NotFound:
            self._context.cache.drop_job(subject.raw)
            return 0.0
        self._context.metrics.show_job(key, status)
        waits = [seconds for seconds in (due, delay) if seconds is not None]
        return min(waits) if waits else None

    async def _after_failure(self, subject: Subject, error: Exception) -> None:
        """Says in the status that a pass failed, and frees a job that must not wait for it.

        An API server that does not answer at all is no fault of the job."""
        is_outage = isinstance(error, ApiError) and not 400 <= error.status <= 499
        try:
            if not is_outage:
                await self._say_failure(subject, error)
            await release_by_force(self._context, subject.key, subject.raw)
        except ApiError as again:
            logger.warning("after a failed pass job=%s/%s %s", *subject.key, again)

    async def _say_failure(self, subject: Subject, error: Exception) -> None:
        """Writes Degraded=True. A condition that says the same already is left as it is."""
        said = f"a pass of the operator failed: {type(error).__name__}: {error}"
        now, generation = to_text(subject.now), subject.raw["metadata"].get("generation")
        condition = degraded(Reason.PASS_FAILED, clean_text(said, MAX_MESSAGE), generation, now)
        conditions = with_condition(subject.status.conditions, condition)
        new = subject.status.changed(conditions=conditions, phase=phase_of(conditions))
        raw = self._context.cache.job(subject.key) or subject.raw
        await self._write(replace(subject, raw=raw), new, None, is_urgent=True)

    async def _is_outdated(self, subject: Subject) -> bool:
        """Whether the job changed since it was judged; the cache then has the newest."""
        await self._refresh(subject.key)
        newest = self._context.cache.job(subject.key)
        return newest is None or version_of(newest) != version_of(subject.raw)

    async def _refresh(self, key: JobKey) -> None:
        try:
            self._context.cache.put_job(await self._context.kubernetes.get(JOBS, *key))
        except NotFound:
            known = self._context.cache.job(key)
            if known is not None:
                self._context.cache.drop_job(known)
