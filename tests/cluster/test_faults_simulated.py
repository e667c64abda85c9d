"""Trouble that the control plane itself makes: quotas, writers in a hurry, crowds, no KubeRay."""

import threading
import time
import urllib.request
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

CROWD = 40


def test_21_what_kuberay_refuses_is_said_in_its_words(lab: Any) -> None:
    """KubeRay says it in an event only; Redis in the environment means a store we never set up."""
    redis = {"name": "RAY_REDIS_ADDRESS", "value": "redis.example:6379"}
    lab.submit("refused", cluster={"env": [redis]}, lifecycle={"startupTimeoutSeconds": 30})
    lab.wait("said", lambda: "RAY_REDIS_ADDRESS" in lab.condition("refused", "ClusterReady")[2])
    assert lab.condition("refused", "ClusterReady")[:2] == ("False", "InvalidRayClusterSpec")
    lab.kubectl("delete", "rlhfjob", "refused", "--timeout=60s")


def test_22_a_quota_that_is_too_small_is_said_and_waited_for(lab: Any) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "tight"},
        "spec": {"hard": {"pods": "1"}},
    }
    lab.apply(quota)
    time.sleep(1)  # the quota is counted before it binds
    lab.submit("squeezed")
    lab.wait("said", lambda: "exceeded quota" in lab.condition("squeezed", "ClusterReady")[2])
    assert lab.condition("squeezed", "ClusterReady")[1].startswith("FailedCreate")
    lab.kubectl("delete", "resourcequota", "tight")
    lab.wait("ready", lambda: lab.condition("squeezed", "ClusterReady")[0] == "True", 90)
    lab.kubectl("delete", "rlhfjob", "squeezed", "--timeout=60s")


def test_24_a_writer_in_a_hurry_delays_nothing_for_ever(lab: Any) -> None:
    stop = threading.Event()

    def scribble() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            lab.kubectl("annotate", "rlhfjob", "busy", f"n={number}", "--overwrite", check=False)

    lab.submit("busy")
    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        lab.wait("ready", lambda: lab.condition("busy", "ClusterReady")[0] == "True", 90)
    finally:
        stop.set()
        writer.join()
    assert len(lab.listed("raycluster", "openrlhf.io/job=busy")) == 1
    lab.kubectl("delete", "rlhfjob", "busy", "--timeout=60s")


def test_30_a_crowd_of_jobs_gets_its_clusters_and_goes(lab: Any, metrics_port: int) -> None:
    began, before = time.monotonic(), requests_made(metrics_port)
    for number in range(CROWD):
        lab.submit(f"crowd-{number}")
    lab.wait("all ready", lambda: len(ready_jobs(lab)) == CROWD, 240)
    seconds, asked = time.monotonic() - began, requests_made(metrics_port) - before
    print(f"jobs={CROWD} seconds={seconds:.0f} requests_per_job={asked / CROWD:.0f}")
    assert asked / CROWD < 200
    lab.kubectl("delete", "rlhfjob", "--all", "--timeout=120s")
    lab.wait("freed", lambda: not lab.listed("pods"), 120)


def ready_jobs(lab: Any) -> list[str]:
    return [
        job["metadata"]["name"]
        for job in lab.listed("rlhfjob")
        for condition in job.get("status", {}).get("conditions", [])
        if condition["type"] == "ClusterReady" and condition["status"] == "True"
    ]


def requests_made(port: int) -> float:
    """Requests that the operator sent to the API server, by its own count."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    named = [line for line in lines if line.startswith("rlhf_operator_api_requests_total")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in named)
