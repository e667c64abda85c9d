"""The operator killed, stopped and alone with a broken API: it converges to the same objects."""

import signal
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
