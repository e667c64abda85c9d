"""A job as people look at it: name, status and the few words that tables show."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

from openrlhf_core.spec.kinds.status import Condition, ConditionType, JobPhase, RLHFJobStatus
from rlhf_operator.conditions import find, is_true

Outcome = Literal["Complete", "Failed"]


@dataclass(frozen=True)
class JobView:
    """One job, read from the server's object. Fields that another version wrote are passed over."""

    name: str
    namespace: str
    created: datetime
    spec: dict[str, Any]
    status: RLHFJobStatus

    @classmethod
    def of(cls, job: dict[str, Any]) -> Self:
        """The view of an object that the API server gave."""
        metadata = job["metadata"]
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            created=parse_time(metadata["creationTimestamp"]),
            spec=job.get("spec", {}),
            status=RLHFJobStatus.from_manifest(job.get("status") or {}),
        )

    @property
    def phase(self) -> JobPhase:
        """The status's phase; Pending until the operator has looked at the job."""
        return self.status.phase or "Pending"

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended, or None while it has not."""
        finals: tuple[Outcome, ...] = ("Complete", "Failed")
        return next((name for name in finals if is_true(self.status.conditions, name)), None)

    @property
    def algorithm(self) -> str:
        """The RL algorithm, or the recipe where there is none."""
        training = self.spec.get("training", {})
        return str(training.get("rl", {}).get("algorithm") or training.get("recipe", ""))

    @property
    def step(self) -> str:
        """`12/80`, or nothing before the first progress."""
        progress = self.status.progress
        return f"{progress.step}/{progress.total_steps}" if progress else ""

    def condition(self, name: ConditionType) -> Condition | None:
        """The condition of that type, if it was ever set."""
        return find(self.status.conditions, name)

    def metric(self, name: str) -> str:
        """Latest value of a metric as text of four digits, or nothing."""
        for metric in self.status.metrics:
            if metric.name == name:
                return short_number(metric.value)
        return ""


def parse_time(text: str) -> datetime:
    """A Kubernetes timestamp, with its zone."""
    return datetime.fromisoformat(text).astimezone(UTC)


def short_number(text: str) -> str:
    """A number of a status in four significant digits; other text as it is."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text


def age(since: datetime, now: datetime) -> str:
    """As kubectl writes ages: `42s`, `5m`, `3h`, `2d`."""
    return duration(int((now - since).total_seconds()))


def duration(seconds: int) -> str:
    """A duration in its largest unit that is worth two of the next: 90 -> `90s`, 150 -> `2m`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{max(seconds, 0)}s"
