"""The operator killed, stopped, doubled: it converges to the same objects."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.cluster


def test_02_28_a_killed_operator_adopts_what_it_made(lab: Any, operator: Any) -> None:
    lab.submit("adopted")
    lab.wait("RayCluster", lambda: lab.listed("raycluster", "openrlhf.io/job=adopted"))
    operator.stop_operator(signal.SIGKILL)
    operator.start_operator()
    lab.wait("ready", lambda: lab.condition("adopted", "ClusterReady")[0] == "True")
    (cluster,) = lab.listed("raycluster", "openrlhf.io/job=adopted")
    status = lab.job("adopted")["status"]
    assert status["attempt"]["number"] == 1
    assert status["rayCluster"]["uid"] == cluster["metadata"]["uid"]
    lab.kubectl("delete", "rlhfjob", "adopted", "--timeout=60s")


def test_a_job_deleted_while_the_operator_is_away_goes_when_it_is_back(
    lab: Any, operator: Any
) -> None:
    lab.submit("orphan")
    lab.wait("RayCluster", lambda: lab.listed("raycluster", "openrlhf.io/job=orphan"))
    assert operator.stop_operator() == 0
    lab.kubectl("delete", "rlhfjob", "orphan", "--wait=false")
    assert lab.get("rlhfjob", "orphan") is not None
    operator.start_operator()
    lab.wait("gone", lambda: lab.get("rlhfjob", "orphan") is None)
    lab.wait("freed", lambda: not lab.listed("raycluster", "openrlhf.io/job=orphan"))


def test_29_two_operators_at_once_make_one_cluster_and_one_attempt(
    lab: Any, operator: Any, tmp_path: Path
) -> None:
    """The chart runs one; two may still meet for a moment, as when a node is cut off."""
    with second_operator(operator, tmp_path / "second.log"):
        lab.submit("shared")
        lab.wait("ready", lambda: lab.condition("shared", "ClusterReady")[0] == "True", 90)
        lab.kubectl("patch", "rlhfjob", "shared", "--type=merge", '-p={"spec":{"suspend":true}}')
        lab.wait("suspended", lambda: lab.condition("shared", "Suspended")[0] == "True")
        lab.kubectl("patch", "rlhfjob", "shared", "--type=merge", '-p={"spec":{"suspend":false}}')
        lab.wait("ready again", lambda: lab.condition("shared", "ClusterReady")[0] == "True", 90)
        (cluster,) = lab.listed("raycluster", "openrlhf.io/job=shared")
        status = lab.job("shared")["status"]
        assert status["attempt"]["number"] == 2
        assert status["rayCluster"]["uid"] == cluster["metadata"]["uid"]
        assert (status["restarts"], status.get("failures", [])) == (0, [])
        lab.kubectl("delete", "rlhfjob", "shared", "--timeout=60s")
        lab.wait("freed", lambda: not lab.listed("raycluster", "openrlhf.io/job=shared"))


@contextmanager
def second_operator(first: Any, log: Path) -> Iterator[None]:
    """Another one on the same cluster; it has nothing to complain of."""
    second = replace(first, operator=None, log=log, **free_ports(type(first)))
    second.start_operator()
    try:
        yield
    finally:
        assert second.stop_operator() == 0
    assert "Traceback" not in log.read_text()


def free_ports(cluster: type[Any]) -> dict[str, int]:
    """Ports of its own for health and metrics."""
    fresh = cluster({})
    return {"health_port": fresh.health_port, "metrics_port": fresh.metrics_port}
