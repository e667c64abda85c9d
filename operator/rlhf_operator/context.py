"""`Context`: what every pass works with. Made once at start, by the handlers."""

from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from openrlhf_core.spec.kinds.runtime import RLHFRuntimeSpec
from rlhf_operator.cache import Cache, JobKey
from rlhf_operator.clients.kubernetes import KubernetesClient
from rlhf_operator.metrics import OperatorMetrics
from rlhf_operator.settings import Settings


@dataclass
class Memo:
    """Answers that can not change, kept to save requests; losing them costs requests only."""

    runtimes: dict[JobKey, tuple[str, RLHFRuntimeSpec]] = field(default_factory=dict)
    """Snapshots, with the uid of the job."""
    tokens: dict[str, str] = field(default_factory=dict)
    """Ray tokens by uid of the RayCluster."""
    bare: dict[JobKey, str] = field(default_factory=dict)
    """Finished jobs that were seen without a network policy, with their uid."""
    written: dict[JobKey, float] = field(default_factory=dict)
    """When a job's status was last written, by the monotonic clock."""

    def forget(self, key: JobKey) -> None:
        """Drops what was kept about a job."""
        self.runtimes.pop(key, None)
        self.bare.pop(key, None)
        self.written.pop(key, None)


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
    locate: Callable[[str, int], str] = direct_url
    """URL of a head's port; tests lead it to servers of their own."""
