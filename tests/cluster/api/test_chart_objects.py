"""The chart's objects, judged by a real API server; the chart installed, upgraded, removed."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from rlhf_operator.codegen.helm import CHART
from rlhf_operator.commands.cluster import Cluster, NotFoundError

pytestmark = pytest.mark.cluster

MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "namespaced": {"watch": {"namespaces": ["default"]}},
    "everything": {
        "image": {"registry": "registry.example", "digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "pull"}],
        "crds": {"keep": False},
        "serviceAccount": {"name": "mine", "annotations": {"a": "b"}},
        "operator": {"extraArgs": ["--x"], "extraEnv": [{"name": "A", "value": "b"}]},
        "metrics": {"service": {"annotations": {"prometheus.io/scrape": "true"}}},
        "networkPolicy": {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]},
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
        "nodeSelector": {"e": "f"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
    },
    "little": {
        "rbac": {"aggregate": False},
        "metrics": {"service": {"create": False}},
        "networkPolicy": {"enabled": False},
        "podSecurityContext": None,
        "securityContext": None,
        "resources": None,
        "runtimes": {"default": "", "items": {"cuda": {"enabled": False}}},
    },
}


def helm(*arguments: str, stdin: str | None = None) -> str:
    binary = shutil.which("helm")
    assert binary is not None, "helm comes with the test cluster's PATH"
    done = subprocess.run(
        [binary, *arguments], input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def environment(cluster: Cluster, kubeconfig: str) -> Iterator[Cluster]:
    """The cluster, with nothing of the chart left over from another test."""
    yield cluster
    helm("uninstall", "demo", "--namespace", cluster.namespace, "--ignore-not-found")


@pytest.mark.parametrize("name", MATRIX)
def test_the_server_accepts_every_object(cluster: Cluster, name: str) -> None:
    values = json.dumps(MATRIX[name])
    arguments = ["template", "demo", str(CHART), "--namespace", cluster.namespace, "--values", "-"]
    for manifest in yaml.safe_load_all(helm(*arguments, stdin=values)):
        if manifest is None or manifest["kind"] == "CustomResourceDefinition":
            continue  # those of crds/, which the fixture has applied already
        space = manifest["metadata"].get("namespace", cluster.namespace)
        Cluster(cluster.api, space, cluster.context).apply(manifest, dry_run=True)


def test_the_chart_installs_upgrades_and_leaves_its_crds(environment: Cluster) -> None:
    place = ["--namespace", environment.namespace]
    helm("install", "demo", str(CHART), *place, "--take-ownership", "--force-conflicts")
    runtimes = "/apis/openrlhf.io/v1alpha1/clusterrlhfruntimes"
    names = {i["metadata"]["name"] for i in environment.get(runtimes, "runtimes")["items"]}
    assert names == {"cpu", "cuda"}
    changed = ["--set", "runtimes.items.cuda.enabled=false", "--set", "operator.concurrency=3"]
    helm("upgrade", "demo", str(CHART), *place, *changed, "--force-conflicts")
    path = f"/apis/apps/v1/namespaces/{environment.namespace}/deployments/demo-rlhf-operator"
    deployment = environment.get(path, "deployment demo-rlhf-operator")
    assert "--concurrency=3" in json.dumps(deployment["spec"])
    helm("uninstall", "demo", *place)
    with pytest.raises(NotFoundError):
        environment.get(path, "deployment demo-rlhf-operator")
    environment.jobs()


def test_the_operators_pod_is_admitted_where_restricted_is_enforced(
    environment: Cluster, kubeconfig: str
) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    path = f"/api/v1/namespaces/{environment.namespace}"
    environment.send("PATCH", path, "namespace", label)
    text = helm("template", "demo", str(CHART), "--namespace", environment.namespace)
    deployment = next(d for d in yaml.safe_load_all(text) if d and d["kind"] == "Deployment")
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": deployment["spec"]["template"]["spec"]["serviceAccountName"]},
    }
    environment.apply(account)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator"},
        "spec": deployment["spec"]["template"]["spec"],
    }
    environment.apply(pod, dry_run=True)
