"""Builders of jobs, runtimes and situations: the smallest that are valid, changed by keyword."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.runtime import RLHFRuntimeSpec
from openrlhf_core.spec.kinds.status import Condition, RLHFJobStatus
from openrlhf_core.spec.progress import Progress
from rlhf_operator.state.observed import Cluster, Driver, Group, Observed, Pod, Resolved
from rlhf_operator.state.situation import Situation

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
UID = "0f1e2d3c-0000-4000-8000-000000000000"
CLUSTER = "demo-0f1e2-1"


def ago(seconds: float) -> str:
    """The time so many seconds before NOW, as a status writes it."""
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def raw_job(**spec: Any) -> dict[str, Any]:
    """A job as the API server stores it; keywords are fields of spec."""
    training = {
        "recipe": "RL",
        "model": {"policy": {"source": "builtin://tiny"}},
        "reward": {"functions": [{"source": "builtin://digits"}]},
        "data": {"train": [{"source": "builtin://digits"}]},
        "rl": {"algorithm": "GRPO", "groupSize": 8, "rolloutBatchSize": 16},
        "maxSteps": 10,
    }
    return {
        "apiVersion": "openrlhf.io/v1alpha1",
        "kind": "RLHFJob",
        "metadata": {"name": "demo", "namespace": "team-a", "uid": UID, "generation": 1},
        "spec": {"training": training | spec.pop("training", {}), **spec},
    }


def make_runtime(**spec: Any) -> RLHFRuntimeSpec:
    """A CPU runtime; keywords are its fields."""
    base = {
        "image": "trainer:1",
        "rayVersion": "2.60.0",
        "device": {"kind": "CPU", "perNode": 4, "cpus": "500m"},
        "storage": {"output": {"size": "1Gi"}},
    }
    return RLHFRuntimeSpec.from_manifest(base | spec)


def make_pod(group: str = "all", number: int = 0, **fields: Any) -> Pod:
    """A ready pod of the attempt's cluster."""
    base: dict[str, Any] = {"cluster": CLUSTER, "group": group, "is_ready": True}
    named = {"name": f"{CLUSTER}-{group}-{number}", "uid": f"pod-{group}-{number}"}
    return Pod(**(named | base | fields))


def make_condition(name: Any, status: Any, reason: str = "Because", age: float = 60) -> Condition:
    """A condition of that age."""
    return Condition(type=name, status=status, reason=reason, last_transition_time=ago(age))


def make_progress(**fields: Any) -> Progress:
    """A driver at step 3 of 10 that moved just now."""
    base: dict[str, Any] = {
        "attempt": 1,
        "phase": "train",
        "step": 3,
        "total_steps": 10,
        "last_update_time": NOW.timestamp(),
        "metrics": {"reward/mean": 0.25},
        "versions": {"ray": "2.60.0"},
    }
    return Progress(**(base | fields))


RESOLVED = Resolved(
    groups=(Group("all", 1, ("Policy", "Rollout")),),
    devices=1,
    plan_hash="0123456789abcdef",
    seed=42,
    claim_name="demo-output",
    output_path="demo-0f1e2d3c",
)
"""One worker group of one node."""


def make_scene(
    spec: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **observed: Any,
) -> Situation:
    """A running attempt: cluster ready, driver running, seen a minute ago. Keywords change it."""
    raw = raw_job(**(spec or {}))
    raw["metadata"] |= metadata or {}
    seen: dict[str, Any] = {
        "resolved": RESOLVED,
        "has_finalizer": True,
        "cluster": Cluster(CLUSTER, "cluster-1"),
        "pods": (make_pod("head"), make_pod("all")),
        "was_asked": True,
        "driver": Driver("RUNNING"),
        "progress": make_progress(),
    }
    told = {
        "conditions": [
            make_condition("Validated", "True", "Valid").to_manifest(),
            make_condition("Running", "True", "DriverRunning").to_manifest(),
        ],
        "attempt": attempt(),
        "rayCluster": {"name": CLUSTER, "uid": "cluster-1", "headPodUid": "pod-head-0"},
    }
    return Situation(
        RLHFJob.from_manifest(raw),
        RLHFJobStatus.from_manifest(told | (status or {})),
        Observed(**(seen | observed)),
        NOW,
    )


def attempt(**fields: Any) -> dict[str, Any]:
    """The first attempt, submitted, a hundred seconds old."""
    base = {
        "number": 1,
        "submissionId": "demo-1",
        "rayClusterName": CLUSTER,
        "startTime": ago(100),
    }
    return {name: value for name, value in (base | fields).items() if value is not None}


class Build:
    """The builders, for tests to take as the fixture `build`."""

    now = NOW
    uid = UID
    cluster_name = CLUSTER
    resolved = RESOLVED
    ago = staticmethod(ago)
    raw_job = staticmethod(raw_job)
    runtime = staticmethod(make_runtime)
    pod = staticmethod(make_pod)
    condition = staticmethod(make_condition)
    progress = staticmethod(make_progress)
    scene = staticmethod(make_scene)
    attempt = staticmethod(attempt)


@pytest.fixture(scope="session")
def build() -> type[Build]:
    """Builders of jobs, runtimes and situations."""
    return Build
