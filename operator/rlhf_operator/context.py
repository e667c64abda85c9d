"""`Context`: what every pass works with. Made once at start, by the handlers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import aiohttp

from openrlhf_core.spec.kinds.runtime import RLHFRuntimeSpec
from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator.cache import Cache, JobKey
from rlhf_operator.clients.kubernetes import KubernetesClient
from rlhf_operator.clock import Clock
from rlhf_operator.metrics import OperatorMetrics
from rlhf_operator.settings import Settings


class Refusal(NamedTuple):
    """When and why the API server refused a job's status."""

    since: float
    """By the monotonic clock."""
    message: str


class KnownHead(NamedTuple):
    """The service and the token that KubeRay made for a head."""

    service: str
    token: str


class Stop(NamedTuple):
    """A stop of an attempt that this process has seen."""

    uid: str
    attempt: int
    since: datetime


@dataclass
class Memo:
    """What is kept in memory between passes. Losing it costs requests, or a grace period again."""

    runtimes: dict[JobKey, tuple[str, RLHFRuntimeSpec]] = field(default_factory=dict)
    """Snapshots, with the uid of the job."""
    heads: dict[str, KnownHead] = field(default_factory=dict)
    """How to reach a head, by uid of the RayCluster."""
    bare: dict[JobKey, str] = field(default_factory=dict)
    """Finished jobs that were seen without a network policy, with their uid."""
    written: dict[JobKey, float] = field(default_factory=dict)
    """When a job's status was last written, by the monotonic clock."""
    refusals: dict[JobKey, Refusal] = field(default_factory=dict)
    """Jobs whose status the API server refused."""
    unwritten: dict[JobKey, tuple[str, RLHFJobStatus]] = field(default_factory=dict)
    """Statuses that could not be written at all, with the uid of the job."""
    stops: dict[JobKey, Stop] = field(default_factory=dict)
    """Since when attempts are being stopped: a status may be edited."""
    failing: dict[JobKey, float] = field(default_factory=dict)
    """Since when every pass of a job has failed, by the monotonic clock."""

    def forget(self, key: JobKey) -> None:
        """Drops what was kept about a job."""
        for kept in (
            self.runtimes,
            self.bare,
            self.written,
            self.refusals,
            self.unwritten,
            self.stops,
            self.failing,
        ):
            kept.pop(key, None)


def direct_url(host: str, port: int) -> str:
    """Where a port of a host answers, reached directly."""
    return f"http://{host}:{port}"


@dataclass(frozen=True)
class Context:
    """Clients, cache, settings and metrics."""

    settings: Settings
    kubernetes: KubernetesClient
    http: aiohttp.ClientSession
    cache: Cache
    metrics: OperatorMetrics
    memo: Memo = field(default_factory=Memo)
    clock: Clock = field(default_factory=Clock)
    locate: Callable[[str, int], str] = direct_url
    """URL of a head's port; tests lead it to servers of their own."""
