"""A real control plane with the real KubeRay and nodes on paper, and the operator beside it.

`LAB` names the program that starts such a cluster (profile `simulated`); without it these tests
are skipped, in CI failed. Pods turn Running and Ready there without containers, so nothing
answers on their addresses: life cycles are real up to the submission of a driver.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cluster.paper_heads import PaperHeads

ROOT = Path(__file__).parents[2]
NETWORK = Path(__file__).parent / "paper_network"
GPU_NODES = 8
KUBERAY_KINDS = tuple(f"ray{kind}s.ray.io" for kind in ("cluster", "job", "service", "cronjob"))
Object = dict[str, Any]

RUNTIME: Object = {
    "apiVersion": "openrlhf.io/v1alpha1",
    "kind": "ClusterRLHFRuntime",
    "metadata": {"name": "h100"},
    "spec": {
        "image": "trainer:1",
        "rayVersion": "2.60.0",
        "device": {"kind": "CUDA", "perNode": 8, "memory": "80Gi", "cpus": 4},
        "head": {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
        "worker": {
            "resourcesPerDevice": {"requests": {"memory": "1Gi"}},
            "podOverrides": {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
        },
        "storage": {"output": {"size": "1Gi"}},
    },
}
TRAINING: Object = {
    "recipe": "RL",
    "model": {"policy": {"source": "builtin://tiny"}},
    "reward": {"functions": [{"source": "builtin://digits"}]},
    "data": {"train": [{"source": "builtin://digits"}]},
    "rl": {"algorithm": "GRPO", "groupSize": 8, "rolloutBatchSize": 128},
    "maxSteps": 10,
}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Cluster:
    """kubectl on a cluster, from a namespace of the test's own, and the operator's process."""

    environment: dict[str, str]
    namespace: str = "default"
    operator: subprocess.Popen[bytes] | None = None
    log: Path = field(default_factory=Path)
    health_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        command = ["kubectl", "-n", self.namespace, *words]
        done = subprocess.run(
            command,
            input=stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + ("" if check else done.stderr)

    def apply(self, *objects: Object) -> None:
        for body in objects:
            self.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def submit(self, name: str, **spec: Any) -> None:
        """Applies a job; `training` is laid over the smallest one."""
        training = TRAINING | spec.pop("training", {})
        self.apply(
            {
                "apiVersion": "openrlhf.io/v1alpha1",
                "kind": "RLHFJob",
                "metadata": {"name": name},
                "spec": {"training": training, **spec},
            }
        )

    def get(self, kind: str, name: str) -> Object | None:
        text = self.kubectl("get", kind, name, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def listed(self, kind: str, selector: str = "") -> list[Object]:
        text = self.kubectl("get", kind, "-l", selector, "-o", "json")
        items: list[Object] = json.loads(text)["items"]
        return items

    def job(self, name: str) -> Object:
        found = self.get("rlhfjob", name)
        assert found is not None
        return found

    def condition(self, name: str, kind: str) -> tuple[str, str, str]:
        """Status, reason and message of a job's condition."""
        for condition in self.job(name).get("status", {}).get("conditions", []):
            if condition["type"] == kind:
                return condition["status"], condition["reason"], condition.get("message", "")
        return "", "", ""

    def wait(self, what: str, holds: Callable[[], Any], seconds: float = 60) -> Any:
        """The first true answer; fails naming `what`, with the operator's last words."""
        deadline = time.monotonic() + seconds
        while True:
            answer = holds()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {seconds:.0f} s\n{self.words()}")
            time.sleep(0.3)

    def start_operator(self) -> None:
        """The operator as a process, from the checkout."""
        command = [sys.executable, "-m", "rlhf_operator", "--default-runtime=h100"]
        command += ["--log-format=json", "--poll-seconds=1", f"--health-port={self.health_port}"]
        command += [f"--metrics-port={self.metrics_port}", "--resync-seconds=10"]
        with self.log.open("ab") as log:
            self.operator = subprocess.Popen(command, env=self.environment, stderr=log, stdout=log)
        self.wait("operator is well", self.is_well, 60)

    def stop_operator(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status."""
        assert self.operator is not None
        self.operator.send_signal(how)
        code = self.operator.wait(timeout=30)
        self.operator = None
        return code

    def is_well(self) -> bool:
        """Whether the operator's probe is answered with 200."""
        url = f"http://127.0.0.1:{self.health_port}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def words(self) -> str:
        return self.log.read_text()[-3000:]


@contextmanager
def started(name: str, log: Path, *options: str) -> Iterator[Cluster]:
    """A cluster of its own with our CRDs and one runtime, taken down at the end."""
    lab = os.environ.get("LAB", "")
    if not Path(lab).is_file():
        reason = "LAB names no program that starts a test cluster"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    up = [lab, "up", "--name", name, *options]
    try:
        done = subprocess.run(up, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        lines = [line.removeprefix("export ") for line in done.stdout.splitlines()]
        exports = dict(line.split("=", 1) for line in lines)
        cluster = Cluster({**os.environ, **exports}, log=log)
        cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        cluster.apply(RUNTIME)
        yield cluster
    finally:
        subprocess.run([lab, "down", "--name", name], check=True, timeout=60)


@contextmanager
def operated(cluster: Cluster) -> Iterator[Cluster]:
    """The operator beside a cluster; no traceback may stand in its log at the end."""
    cluster.start_operator()
    try:
        yield cluster
    finally:
        if cluster.operator is not None:
            assert cluster.stop_operator() == 0
    assert "Traceback" not in cluster.log.read_text()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The real control plane and KubeRay, with nodes on paper."""
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    options = ("--profile", "simulated", "--gpu-nodes", str(GPU_NODES))
    with started(f"sim{os.getpid() % 10_000}", log, *options) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def operator(control_plane: Cluster) -> Iterator[Cluster]:
    """The operator, running on it."""
    with operated(control_plane) as cluster:
        yield cluster


@dataclass
class LateKubeRay:
    """A cluster whose KubeRay is not there before `install`."""

    cluster: Cluster
    lab: Callable[[str], None]

    def remove(self) -> None:
        """KubeRay's process and its kinds."""
        self.lab("kill")
        for kind in KUBERAY_KINDS:
            self.cluster.kubectl("delete", "crd", kind)

    def install(self) -> None:
        """As an administrator does it: the kinds, then the program."""
        folder = Path(os.environ["LAB"]).parent / "kuberay"
        self.cluster.kubectl("create", "-f", str(folder))
        self.lab("restart")


@pytest.fixture
def late_kuberay(tmp_path: Path) -> Iterator[LateKubeRay]:
    """The control plane without KubeRay, which can be installed, and an operator."""
    name = f"late{os.getpid() % 10_000}"

    def lab(verb: str) -> None:
        command = [os.environ["LAB"], verb, "kuberay", "--name", name]
        subprocess.run(command, check=True, timeout=60)

    options = ("--profile", "simulated", "--gpu-nodes", "2")
    with started(name, tmp_path / "operator.log", *options) as cluster:
        late = LateKubeRay(cluster, lab)
        late.remove()
        with operated(cluster):
            yield late


@pytest.fixture
def with_kueue(tmp_path: Path) -> Iterator[Cluster]:
    """The control plane with the real Kueue, and an operator."""
    options = ("--profile", "simulated", "--gpu-nodes", "2", "--with", "kueue")
    name = f"que{os.getpid() % 10_000}"
    with started(name, tmp_path / "operator.log", *options) as cluster, operated(cluster):
        yield cluster


@dataclass
class AnsweredLab:
    """A cluster on paper whose heads answer, and an operator beside it."""

    cluster: Cluster
    heads: PaperHeads


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnsweredLab]:
    """A control plane with KubeRay and nodes on paper, heads that answer, and the operator."""
    log = tmp_path_factory.mktemp("answered") / "operator.log"
    options = ("--profile", "simulated", "--gpu-nodes", str(GPU_NODES))
    address = f"127.0.{os.getpid() % 200 + 1}.7"
    with (
        started(f"ans{os.getpid() % 10_000}", log, *options) as cluster,
        PaperHeads(address) as heads,
    ):
        paths = (str(NETWORK), cluster.environment.get("PYTHONPATH", ""))
        cluster.environment |= {"PAPER_HEADS": address, "PYTHONPATH": os.pathsep.join(paths)}
        with operated(cluster):
            yield AnsweredLab(cluster, heads)


@pytest.fixture
def lab(operator: Cluster, request: pytest.FixtureRequest) -> Cluster:
    """The cluster seen from a fresh namespace."""
    name = f"t-{abs(hash(request.node.nodeid)) % 10**8}"
    operator.kubectl("create", "namespace", name)
    inside = Cluster(operator.environment, name, operator.operator, operator.log)
    return inside


@pytest.fixture
def metrics_port(operator: Cluster) -> int:
    """Where the operator serves /metrics."""
    return operator.metrics_port
