"""Follows a job on the cluster and keeps what its status said on the way."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab_cluster import CheckFailed, LabCluster, Manifest

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Sight:
    """What the status said at one moment. `seconds` counts from when the timeline began."""

    seconds: float
    phase: str
    step: int
    reward: float | None
    attempt: int


@dataclass
class Timeline:
    """Everything seen of one job, changes only."""

    sights: list[Sight] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    versions: set[str] = field(default_factory=set)
    """Every version of the object that was seen; each write makes one."""

    def add(self, sight: Sight) -> None:
        """Keeps a sight that says something new."""
        if not self.sights or _words(self.sights[-1]) != _words(sight):
            self.sights.append(sight)

    @property
    def phases(self) -> list[str]:
        """Phases in their order, each named once a stay."""
        names = [sight.phase for sight in self.sights]
        return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]

    @property
    def steps_seen(self) -> list[int]:
        """Distinct steps that the status showed."""
        return sorted({sight.step for sight in self.sights if sight.step})


def _words(sight: Sight) -> tuple[str, int, int]:
    return sight.phase, sight.step, sight.attempt


def condition(job: Manifest, name: str) -> dict[str, Any]:
    """The condition, or an empty one."""
    found = job.get("status", {}).get("conditions", [])
    return next((item for item in found if item["type"] == name), {})


def is_true(job: Manifest, name: str) -> bool:
    """Whether the condition stands at True."""
    return condition(job, name).get("status") == "True"


def step_of(job: Manifest) -> int:
    """The last finished step that the status shows."""
    return int(job.get("status", {}).get("progress", {}).get("step", 0))


def follow(
    cluster: LabCluster,
    name: str,
    seconds: float,
    until: Callable[[Manifest], bool],
    timeline: Timeline | None = None,
) -> Manifest:
    """The job once `until` holds. CheckFailed with its conditions when that takes too long."""
    started = time.monotonic()
    kept = timeline if timeline is not None else Timeline()
    while True:
        job = cluster.get("rlhfjob", name)
        if job is None:
            raise CheckFailed(f"rlhfjob {name} is gone")
        kept.versions.add(job["metadata"]["resourceVersion"])
        kept.add(_sight(job, time.monotonic() - kept.began))
        if until(job):
            return job
        if time.monotonic() - started > seconds:
            raise CheckFailed(f"rlhfjob {name}: not within {seconds:.0f} s; {describe(job)}")
        time.sleep(POLL_SECONDS)


def has_ended(job: Manifest) -> bool:
    """Whether the job is Complete or Failed."""
    return is_true(job, "Complete") or is_true(job, "Failed")


def brief(text: str, head: int = 120, tail: int = 260) -> str:
    """A message on one line, its middle left out: the head says what, the tail says why."""
    line = " ".join(text.split())
    return line if len(line) <= head + tail else f"{line[:head]} ... {line[-tail:]}"


def describe(job: Manifest) -> str:
    """Phase and every condition that says something, in one line."""
    conditions = job.get("status", {}).get("conditions", [])
    said = [f"{c['type']}={c['status']}/{c['reason']}: {c.get('message', '')}" for c in conditions]
    return f"phase {job.get('status', {}).get('phase')}; " + "; ".join(said)


def told(job: Manifest, timeline: Timeline, more: str) -> str:
    """What a status said on the way to its end, in one line."""
    attempt = job["status"]["attempt"]
    resumed = attempt.get("resumedFromStep")
    words = [f"attempt {attempt['number']}", *([f"resumed from step {resumed}"] if resumed else [])]
    return ", ".join([*words, more, " > ".join(timeline.phases)])


def _sight(job: Manifest, seconds: float) -> Sight:
    status = job.get("status", {})
    rewards = [m["value"] for m in status.get("metrics", []) if m["name"] == "reward/mean"]
    return Sight(
        seconds=round(seconds, 1),
        phase=status.get("phase", ""),
        step=step_of(job),
        reward=float(rewards[0]) if rewards else None,
        attempt=int(status.get("attempt", {}).get("number", 0)),
    )
