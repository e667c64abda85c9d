"""A real API server with our CRDs: the one of KUBECONFIG, or one that LAB starts."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlhf_operator.commands.cluster import Cluster, open_cluster

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    """Path of a kubeconfig whose cluster has our CRDs. Without a cluster: skipped, in CI failed."""
    given, lab = os.environ.get("KUBECONFIG", ""), os.environ.get("LAB", "")
    if given and Path(given).is_file():
        yield _with_crds(given)
        return
    if not Path(lab).is_file():
        reason = "no cluster: KUBECONFIG names no file, and LAB names no test cluster"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    name = f"api{os.getpid() % 10_000}"
    up = [lab, "up", "--profile", "api", "--name", name]
    done = subprocess.run(up, check=True, capture_output=True, text=True, timeout=180)
    exports = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    os.environ["PATH"] = exports["PATH"]
    try:
        yield _with_crds(exports["KUBECONFIG"])
    finally:
        subprocess.run([lab, "down", "--name", name], check=True, timeout=60)


def _with_crds(kubeconfig: str) -> str:
    for command in (["apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds")],):
        kubectl(kubeconfig, *command)
    kubectl(kubeconfig, "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    return kubeconfig


def kubectl(kubeconfig: str, *arguments: str, stdin: str | None = None) -> str:
    """Standard output of a kubectl command; CalledProcessError when it fails."""
    command = ["kubectl", f"--kubeconfig={kubeconfig}", *arguments]
    done = subprocess.run(
        command, input=stdin, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def cluster(
    kubeconfig: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Cluster:
    """The cluster seen from a namespace of the test's own."""
    monkeypatch.setenv("KUBECONFIG", kubeconfig)
    name = f"t-{abs(hash(request.node.nodeid)) % 10**8}"
    kubectl(kubeconfig, "create", "namespace", name)
    return open_cluster(name)
