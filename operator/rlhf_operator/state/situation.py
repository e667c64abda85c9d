"""`Situation`: the whole input of a decision, and the few questions that several policies ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.status import AttemptStatus, Condition, ConditionType, RLHFJobStatus
from rlhf_operator import conditions
from rlhf_operator.state.observed import Observed, Pod
from rlhf_operator.state.times import from_text


@dataclass(frozen=True)
class Limits:
    """The operator's own patience and rhythm, in seconds; the job's are in its lifecycle."""

    poll: float = 3.0
    """Between looks at an attempt that is under way."""
    contact: float = 180.0
    """A head that is silent for longer is lost."""
    spare: float = 30.0
    """On top of the grace period, before a stop is done by force."""
    status: float = 10.0
    """Between status writes that say no transition."""


@dataclass(frozen=True)
class Situation:
    """A job, what its status said, what was observed, and the time."""

    job: RLHFJob
    status: RLHFJobStatus
    observed: Observed
    now: datetime
    limits: Limits = Limits()
    stopping_since: datetime | None = None
    """When the operator first saw that the live attempt is being stopped, by its own memory."""

    @property
    def attempt(self) -> AttemptStatus | None:
        return self.status.attempt

    @property
    def is_live(self) -> bool:
        """Whether an attempt has begun and not ended."""
        return self.attempt is not None and self.attempt.end_time is None

    @property
    def is_submitted(self) -> bool:
        return self.is_live and self.attempt is not None and self.attempt.submission_id is not None

    @property
    def is_finished(self) -> bool:
        return self.condition_holds("Complete") or self.condition_holds("Failed")

    @property
    def grace(self) -> float:
        return self.job.spec.lifecycle.grace_period_seconds

    @property
    def missing_pods(self) -> tuple[str, ...]:
        """Groups that lack ready pods: `head` and names of worker groups."""
        resolved = self.observed.resolved
        wanted = {"head": 1}
        wanted |= {group.name: group.nodes for group in resolved.groups} if resolved else {}
        return tuple(name for name, count in wanted.items() if self.ready_pods(name) < count)

    @property
    def is_cluster_ready(self) -> bool:
        """Head and every worker that the plan asks for are ready, and stay."""
        cluster = self.observed.cluster
        if cluster is None or cluster.is_suspended or cluster.is_deleting:
            return False
        return self.observed.resolved is not None and not self.missing_pods

    def ready_pods(self, group: str) -> int:
        return sum(pod.group == group and is_usable(pod) for pod in self.observed.pods)

    def condition(self, name: ConditionType) -> Condition | None:
        return conditions.find(self.status.conditions, name)

    def condition_holds(self, name: ConditionType) -> bool:
        return conditions.is_true(self.status.conditions, name)

    def seconds_since(self, time: str | None) -> float:
        """Seconds since a time of the status; 0 when there is none."""
        return 0.0 if time is None else (self.now - from_text(time)).total_seconds()

    @property
    def stopping_seconds(self) -> float:
        """How long the live attempt has been stopping: by the status, which may be edited, or by
        the operator's memory, which a restart loses; the longer of both."""
        stop_time = self.attempt.stop_time if self.attempt is not None else None
        seen = self.now - (self.stopping_since or self.now)
        return max(self.seconds_since(stop_time), seen.total_seconds())

    def later(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)


def is_usable(pod: Pod) -> bool:
    """Whether a pod is ready and will stay."""
    return pod.is_ready and not pod.is_deleting
