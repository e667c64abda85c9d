"""The operator and what may or may not be installed beside it: KubeRay later, Kueue."""

import json
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

QUEUES: list[dict[str, Any]] = [
    {
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "ResourceFlavor",
        "metadata": {"name": "default"},
    },
    {
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "ClusterQueue",
        "metadata": {"name": "all"},
        "spec": {
            "namespaceSelector": {},
            "resourceGroups": [
                {
                    "coveredResources": ["cpu", "memory", "nvidia.com/gpu"],
                    "flavors": [
                        {
                            "name": "default",
                            "resources": [
                                {"name": "cpu", "nominalQuota": "1000"},
                                {"name": "memory", "nominalQuota": "1000Gi"},
                                {"name": "nvidia.com/gpu", "nominalQuota": "8"},
                            ],
                        }
                    ],
                }
            ],
        },
    },
    {
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "LocalQueue",
        "metadata": {"name": "team"},
        "spec": {"clusterQueue": "all"},
    },
]
NODE = {"groups": [{"name": "all", "roles": ["Policy", "Rollout"], "devicesPerNode": 8}]}


def test_20_kuberay_may_come_after_the_operator(late_kuberay: Any) -> None:
    lab = late_kuberay.cluster
    lab.submit("early")
    lab.wait("said", lambda: lab.condition("early", "Validated")[1] == "KubeRayNotInstalled")
    late_kuberay.install()
    lab.wait("ready", lambda: lab.condition("early", "ClusterReady")[0] == "True", 120)
    assert lab.condition("early", "Validated")[0] == "True"
    assert lab.job("early")["status"]["attempt"]["number"] == 1
    lab.kubectl("delete", "rlhfjob", "early", "--timeout=60s")
    assert lab.listed("raycluster", "openrlhf.io/job=early") == []


def test_14_kueue_admits_one_job_and_holds_the_next(with_kueue: Any) -> None:
    lab = with_kueue
    lab.wait("queues are taken", lambda: "created" in lab_apply(lab), 60)
    queue = {"queueName": "team"}
    lab.submit("one", scheduling=queue, training={"placement": NODE})
    lab.wait("ready", lambda: lab.condition("one", "ClusterReady")[0] == "True", 90)
    lab.submit("two", scheduling=queue, training={"placement": NODE})
    lab.wait("queued", lambda: lab.condition("two", "Queued")[0] == "True", 60)
    assert lab.job("two")["status"]["phase"] == "Queued"
    assert lab.listed("pods", "openrlhf.io/job=two") == []
    lab.kubectl("delete", "rlhfjob", "one", "--timeout=60s")
    lab.wait("admitted", lambda: lab.condition("two", "ClusterReady")[0] == "True", 90)
    assert lab.condition("two", "Queued")[0] == "False"


def lab_apply(lab: Any) -> str:
    """What kubectl says to the queues; Kueue's webhooks may take a moment to answer."""
    bodies = {"apiVersion": "v1", "kind": "List", "items": QUEUES}
    text: str = lab.kubectl("apply", "-f", "-", stdin=json.dumps(bodies), check=False)
    return text if "rror" not in text else ""
