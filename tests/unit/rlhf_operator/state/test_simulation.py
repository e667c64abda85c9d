"""A small world with faults: whatever breaks, and wherever the operator is killed, the decisions
keep their promises and come to rest.

The world holds one job, its RayClusters, their pods and drivers, and does to them what KubeRay,
kubelets and people do. The operator looks, decides, performs its acts one by one and writes the
status; it may be killed between any two of these.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator.state import step as acts
from rlhf_operator.state.decide import Decision, decide
from rlhf_operator.state.observed import Cluster, Driver, Observed, Pod
from rlhf_operator.state.situation import Situation

STEPS = 6
"""Of training; one a tick."""
GRACE = 2
"""Ticks from a request to stop until the driver is gone."""


class Killed(Exception):
    """The operator dies here."""


@dataclass
class Sim:
    """A RayCluster with its pods and the Ray jobs of its head."""

    name: str
    uid: str
    age: int = 0
    is_suspended: bool = False
    is_deleting: bool = False
    head: str | None = None
    has_worker: bool = False
    drivers: dict[str, Driver] = field(default_factory=dict)
    stopping: dict[str, int] = field(default_factory=dict)

    def pods(self) -> list[Pod]:
        found = []
        if self.head:
            found.append(self._pod("head", self.head))
        if self.has_worker:
            found.append(self._pod("all", f"{self.uid}-worker"))
        return found

    def _pod(self, group: str, uid: str) -> Pod:
        return Pod(f"{self.name}-{group}", uid, self.name, group, not self.is_deleting)

    def lose_head(self) -> None:
        self.head, self.drivers, self.stopping = None, {}, {}


class World:
    """Everything outside the operator."""

    def __init__(self, build: Any, raw: dict[str, Any], seed: int) -> None:
        self.random = random.Random(seed)
        self.build, self.raw, self.now = build, raw, build.now
        self.status: dict[str, Any] = {}
        self.clusters: dict[str, Sim] = {}
        self.checkpoint = 0
        self.uids = 0
        self.is_forgotten = False
        self.is_silent = False
        self.has_finalizer = False
        self.has_policy = False
        self.submitted: list[int] = []

    def new_uid(self) -> str:
        self.uids += 1
        return f"uid-{self.uids}"

    def tick(self) -> None:
        """Twenty seconds of everybody else's work."""
        self.now += timedelta(seconds=20)
        for sim in list(self.clusters.values()):
            sim.age += 1
            if sim.is_deleting or sim.is_suspended:
                self._shrink(sim)
            elif sim.age >= 2 and sim.head is None and not sim.drivers and sim.age < 5:
                sim.head = self.new_uid()
            elif sim.age >= 2:
                sim.has_worker = True
            self._train(sim)

    def _shrink(self, sim: Sim) -> None:
        """Pods end when their drivers have: the preStop hook waits for them."""
        if any(driver.status == "RUNNING" for driver in sim.drivers.values()):
            for name in sim.drivers:
                sim.stopping.setdefault(name, GRACE)
            return
        sim.lose_head()
        sim.has_worker = False
        if sim.is_deleting:
            del self.clusters[sim.name]

    def _train(self, sim: Sim) -> None:
        for name, driver in list(sim.drivers.items()):
            if driver.status != "RUNNING":
                continue
            if name in sim.stopping:
                sim.stopping[name] -= 1
                if sim.stopping[name] <= 0:
                    sim.drivers[name] = Driver("STOPPED")
                continue
            self.checkpoint += 1
            if self.checkpoint >= STEPS:
                sim.drivers[name] = Driver("SUCCEEDED", 0)

    def fault(self) -> None:
        """Something breaks, or somebody changes their mind."""
        sims = list(self.clusters.values())
        sim = self.random.choice(sims) if sims else None
        kinds = ["suspend", "resume", "silence", "hearing"]
        if sim is not None:
            kinds += ["head", "worker", "driver", "cluster", "queue", "admit", "driver", "head"]
        kind = self.random.choice(kinds)
        if kind in ("suspend", "resume"):
            self.raw["spec"]["suspend"] = kind == "suspend"
        elif kind in ("silence", "hearing"):
            self.is_silent = kind == "silence"
        elif sim is not None:
            self._break(sim, kind)

    def _break(self, sim: Sim, kind: str) -> None:
        if kind == "head":
            sim.lose_head()
        elif kind == "worker":
            sim.has_worker = False
            self._fail_drivers(sim, 10)
        elif kind == "driver":
            self._fail_drivers(sim, self.random.choice([1, 10, 20, None]))
        elif kind == "cluster":
            sim.is_deleting = True
        else:
            sim.is_suspended = kind == "queue"

    def _fail_drivers(self, sim: Sim, code: int | None) -> None:
        for name, driver in sim.drivers.items():
            if driver.status == "RUNNING":
                sim.drivers[name] = Driver("FAILED", code)

    def running(self) -> list[str]:
        return [
            name
            for sim in self.clusters.values()
            for name, driver in sim.drivers.items()
            if driver.status == "RUNNING"
        ]

    def heal(self) -> None:
        """No more faults from here."""
        self.is_silent = False
        self.raw["spec"]["suspend"] = False
        for sim in self.clusters.values():
            sim.is_suspended = False

    def look(self) -> Situation:
        status = RLHFJobStatus.from_manifest(self.status)
        name = status.ray_cluster.name if status.ray_cluster else ""
        own = self.clusters.get(name)
        pods = [pod for sim in self.clusters.values() for pod in sim.pods()]
        attempt = status.attempt
        is_live = attempt is not None and attempt.end_time is None
        asks = is_live and own is not None and attempt is not None and attempt.submission_id
        driver = own.drivers.get(str(attempt.submission_id)) if asks and own and attempt else None
        silence = "timeout" if asks and (self.is_silent or (own and not own.head)) else None
        observed = Observed(
            resolved=self.build.resolved,
            has_finalizer=self.has_finalizer,
            has_policy=self.has_policy,
            cluster=_seen(own) if own else None,
            other_clusters=tuple(_seen(s) for s in self.clusters.values() if s is not own),
            pods=tuple(pod for pod in pods if pod.cluster == name),
            other_pods=tuple(pod for pod in pods if pod.cluster != name),
            was_asked=bool(asks),
            driver=None if silence else driver,
            silence=silence,
        )
        return Situation(RLHFJob.from_manifest(self.raw), status, observed, self.now)

    def perform(self, act: acts.Act) -> bool:
        """Whether the act could be done."""
        match act:
            case acts.EnsureFinalizer():
                self.has_finalizer = True
            case acts.RemoveFinalizer():
                self.is_forgotten = True
            case acts.PrepareChildren():
                self.has_policy = True
            case acts.RemovePolicy():
                assert not self.clusters, "pods must not outlive their policy"
                self.has_policy = False
            case acts.CreateCluster(name):
                self.clusters.setdefault(name, Sim(name, self.new_uid()))
            case acts.DeleteCluster(name, uid):
                sim = self.clusters.get(name)
                if sim is not None and sim.uid == uid:
                    sim.is_deleting = True
            case acts.SubmitDriver(cluster, attempt, submission):
                return self._submit(cluster, attempt, submission)
            case acts.StopDriver(cluster, submission):
                found = self.clusters.get(cluster)
                if self.is_silent or found is None or found.head is None:
                    return False
                found.stopping.setdefault(submission, GRACE)
        return True

    def _submit(self, cluster: str, attempt: int, submission: str) -> bool:
        sim = self.clusters.get(cluster)
        if self.is_silent or sim is None or sim.head is None:
            return False
        if submission not in sim.drivers:
            assert not self.running(), "two attempts at once"
            assert not self.submitted or attempt >= self.submitted[-1], "attempts go backwards"
            self.submitted.append(attempt)
            sim.drivers[submission] = Driver("RUNNING")
        return True


def _seen(sim: Sim) -> Cluster:
    return Cluster(sim.name, sim.uid, sim.is_suspended, sim.is_deleting)


def run_pass(world: World, kill_chance: float) -> Decision | None:
    """One pass of the operator, which may be killed between any two of its doings."""
    situation = world.look()
    decision = decide(situation)
    assert decide(situation).status == decision.status, "not deterministic"
    if situation.is_finished:
        assert not any(isinstance(a, acts.CreateCluster | acts.SubmitDriver) for a in decision.acts)
    try:
        status = decision.status
        for act in decision.acts:
            if world.random.random() < kill_chance:
                raise Killed
            if not world.perform(act):
                status = decision.status_on_failure("no answer")
                break
        if world.random.random() < kill_chance:
            raise Killed
        world.status = status.to_manifest()
    except Killed:
        return None
    assert len(world.running()) <= 1, "two attempts at once"
    return decision


def settle(world: World, passes: int) -> None:
    """Passes without faults until nothing is left to do, at most so many."""
    for _ in range(passes):
        decision = run_pass(world, kill_chance=0.0)
        world.tick()
        is_over = "completionTime" in world.status and not world.clusters and not world.has_policy
        if is_over and decision is not None and not decision.acts:
            break


def make_world(build: Any, seed: int, **spec: Any) -> World:
    lifecycle = {"backoffLimit": 1000, "gracePeriodSeconds": 40, "backoffSeconds": 20}
    return World(build, build.raw_job(lifecycle=lifecycle | spec), seed)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), faults=st.integers(0, 25))
def test_the_job_completes_after_any_faults_and_kills(build: Any, seed: int, faults: int) -> None:
    world = make_world(build, seed)
    for _ in range(faults * 3):
        run_pass(world, kill_chance=0.2)
        if world.random.random() < 0.4:
            world.fault()
        world.tick()
    world.heal()
    settle(world, 200)
    last = decide(world.look())
    assert last.status.phase in ("Succeeded", "Failed"), last.status
    assert not world.clusters, "a finished job holds pods"
    assert last.acts == ()
    assert last.status.to_manifest() == world.status, "not at rest"


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), begin=st.integers(0, 30))
def test_a_deleted_job_is_let_go_within_its_bound(build: Any, seed: int, begin: int) -> None:
    world = make_world(build, seed)
    for _ in range(begin):
        run_pass(world, kill_chance=0.1)
        if world.random.random() < 0.2:
            world.fault()
        world.tick()
    world.raw["metadata"]["deletionTimestamp"] = world.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    world.is_forgotten = not world.has_finalizer
    for _ in range(20):
        if world.is_forgotten:
            break
        run_pass(world, kill_chance=0.1)
        world.tick()
    assert world.is_forgotten


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), begin=st.integers(0, 30))
def test_a_suspended_job_ends_without_pods_and_resumes(build: Any, seed: int, begin: int) -> None:
    world = make_world(build, seed)
    for _ in range(begin):
        run_pass(world, kill_chance=0.1)
        world.tick()
    if decide(world.look()).status.phase in ("Succeeded", "Failed"):
        return
    world.raw["spec"]["suspend"] = True
    for _ in range(25):
        run_pass(world, kill_chance=0.1)
        world.tick()
    assert not world.clusters
    assert world.status["phase"] in ("Suspended", "Succeeded")
    assert not world.status.get("failures")
    world.heal()
    settle(world, 100)
    assert world.status["phase"] == "Succeeded"


def test_backoff_limit_bounds_the_attempts(build: Any) -> None:
    world = make_world(build, seed=1, backoffLimit=3)
    for _ in range(300):
        run_pass(world, kill_chance=0.0)
        for sim in world.clusters.values():
            sim.drivers = {
                name: replace(driver, status="FAILED", exit_code=10)
                for name, driver in sim.drivers.items()
            }
        world.tick()
    assert world.status["phase"] == "Failed"
    assert world.submitted == [1, 2, 3, 4]
    assert world.status["restarts"] == 3
