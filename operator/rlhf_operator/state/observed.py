"""What a pass knows of the world: frozen values without Kubernetes or Ray types.

Made by `observe` (from raw objects) and the reconciler (from answers of clients); read by every
policy.
"""

from dataclasses import dataclass

from openrlhf_core.spec.last_words import LastWords
from openrlhf_core.spec.progress import Progress
from rlhf_operator.findings import Finding


@dataclass(frozen=True)
class Trouble:
    """Why something is not as it should be, in the words of who found out.

    Trouble("ImagePullBackOff", 'pod x-head-8qzkv: Back-off pulling image "trainer:nope"')
    """

    reason: str
    message: str


@dataclass(frozen=True)
class Pod:
    """A pod of a RayCluster of the job."""

    name: str
    uid: str
    cluster: str
    group: str
    """Name of the worker group, or `head`."""
    is_ready: bool
    is_deleting: bool = False
    is_disrupted: bool = False
    """An eviction, preemption or drain is taking it away."""
    trouble: Trouble | None = None
    is_out_of_memory: bool = False
    """Its container was killed for memory, now or before its last restart."""
    image: str = ""
    """The image by digest, as the kubelet resolved it."""


@dataclass(frozen=True)
class Cluster:
    """A RayCluster of the job."""

    name: str
    uid: str
    is_suspended: bool = False
    """Its `spec.suspend` is true: a queue has not admitted it, or took it back."""
    is_deleting: bool = False
    has_workers: bool = True
    """Whether any of its groups asks for workers."""
    trouble: Trouble | None = None


@dataclass(frozen=True)
class Driver:
    """The attempt's Ray job, as its head reports it."""

    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    exit_code: int | None = None
    message: str = ""
    """Ray's words."""
    last_lines: str = ""
    """The end of what it printed, when it is over."""
    last_words: LastWords | None = None
    """Why it ended, in its own words; None when it did not end, or died without any."""

    @property
    def is_over(self) -> bool:
        return self.status in ("SUCCEEDED", "FAILED", "STOPPED")

    @property
    def text(self) -> str:
        """Why it ended, for people: its own words, else the end of its log, else Ray's words."""
        if self.last_words is not None and self.last_words.message:
            return self.last_words.message
        return self.last_lines or self.message


@dataclass(frozen=True)
class Group:
    """A worker group of the plan."""

    name: str
    nodes: int
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resolved:
    """What the job was resolved to, for the status."""

    groups: tuple[Group, ...]
    devices: int
    plan_hash: str
    seed: int
    claim_name: str
    output_path: str


@dataclass(frozen=True)
class Observed:
    """One look at everything that a job has."""

    findings: tuple[Finding, ...] = ()
    """Why the job can not run; empty also when nothing was checked."""
    resolved: Resolved | None = None
    has_finalizer: bool = False
    has_policy: bool = False
    """The job's network policy stands; looked for only when no pods should be left."""
    cluster: Cluster | None = None
    """The RayCluster of the attempt."""
    other_clusters: tuple[Cluster, ...] = ()
    """RayClusters of earlier attempts that are still there."""
    pods: tuple[Pod, ...] = ()
    """Pods of the attempt's RayCluster."""
    other_pods: tuple[Pod, ...] = ()
    """Pods of earlier attempts that are still there."""
    was_asked: bool = False
    """Whether the head was asked for the driver in this pass."""
    driver: Driver | None = None
    """None when the head does not know it, or gave no answer."""
    silence: str | None = None
    """Why the head gave no answer, when it was asked and gave none."""
    progress: Progress | None = None
    complaints: tuple[Finding, ...] = ()
    """What was wrong in what others said, and was left out."""

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        own = () if self.cluster is None else (self.cluster,)
        return (*own, *self.other_clusters)

    @property
    def head(self) -> Pod | None:
        return next((pod for pod in self.pods if pod.group == "head"), None)

    @property
    def is_silent(self) -> bool:
        return self.silence is not None and self.progress is None
