"""`rlhf doctor`: what a cluster lacks for a job to run, each finding with its fix."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from openrlhf_core.spec.exit_codes import ConfigurationError
from rlhf_operator.commands.cluster import Cluster, NotFoundError
from rlhf_operator.names import GROUP, LABEL_OPERATOR, OPERATOR_NAME, VERSION

Level = Literal["ok", "warn", "fail", "unknown"]
MARKS: dict[Level, tuple[str, str]] = {
    "ok": ("ok  ", "green"),
    "warn": ("warn", "yellow"),
    "fail": ("FAIL", "red"),
    "unknown": ("?   ", "yellow"),
}
MIN_KUBERNETES = (1, 31)
KINDS = ("rlhfjobs", "rlhfruntimes", "clusterrlhfruntimes")
RIGHTS = (
    (GROUP, "rlhfjobs", "", "create"),
    (GROUP, "rlhfjobs", "", "patch"),
    ("", "configmaps", "", "create"),
    ("", "events", "", "list"),
    ("", "pods", "", "list"),
    ("", "pods", "exec", "create"),
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    message: str


Check = Callable[[Cluster], Finding]


def examine(cluster: Cluster) -> list[Finding]:
    """Every check in order; one that the cluster does not allow is `unknown`, with its words."""
    findings = [check_server(cluster)]
    for subject, check in CHECKS:
        try:
            findings.append(check(cluster))
        except ConfigurationError as refusal:
            findings.append(Finding("unknown", subject, str(refusal)))
    return findings


def print_findings(console: Console, findings: Iterable[Finding]) -> bool:
    """One line a finding; whether none of them stops a job."""
    ok = True
    for finding in findings:
        mark, style = MARKS[finding.level]
        ok = ok and finding.level != "fail"
        console.print(
            Text.assemble((mark, style), f" {finding.subject}: {finding.message}"), soft_wrap=True
        )
    return ok


def check_server(cluster: Cluster) -> Finding:
    """The API server answers and is new enough. Raises ConfigurationError when it is silent."""
    version = cluster.get("/version", "version of the API server")
    number = (int(version["major"]), int(version["minor"].rstrip("+")))
    text = f"{version['gitVersion']} at {cluster.api.configuration.host}"
    if number < MIN_KUBERNETES:
        needed = ".".join(map(str, MIN_KUBERNETES))
        return Finding("fail", "Kubernetes", f"{text}; {needed} or later is needed: upgrade it")
    return Finding("ok", "Kubernetes", text)


def check_kinds(cluster: Cluster) -> Finding:
    """Our CRDs are there and serve our version."""
    try:
        served = _resources(cluster, f"/apis/{GROUP}/{VERSION}")
    except NotFoundError:
        served = set()
    missing = [kind for kind in KINDS if kind not in served]
    if missing:
        fix = "helm install rlhf-operator … (docs/cluster.md)"
        return Finding("fail", "CRDs", f"{', '.join(missing)} not installed; {fix}")
    return Finding("ok", "CRDs", f"{GROUP}/{VERSION}: {', '.join(KINDS)}")


def check_kuberay(cluster: Cluster) -> Finding:
    """KubeRay's RayCluster is there."""
    try:
        served = _resources(cluster, "/apis/ray.io/v1")
    except NotFoundError:
        served = set()
    if "rayclusters" not in served:
        fix = "install KubeRay 1.6 or later (helm chart kuberay-operator)"
        return Finding("fail", "KubeRay", f"no ray.io/v1 RayCluster; {fix}")
    return Finding("ok", "KubeRay", "ray.io/v1 RayCluster is served")


def check_operator(cluster: Cluster) -> Finding:
    """The operator's Deployment has a ready replica, in any namespace."""
    query = {"labelSelector": f"{LABEL_OPERATOR}={OPERATOR_NAME}"}
    found = cluster.get("/apis/apps/v1/deployments", "deployments of all namespaces", **query)
    for item in found["items"]:
        place = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        if item.get("status", {}).get("readyReplicas"):
            return Finding("ok", "operator", f"{place} is ready")
        look = f"kubectl -n {item['metadata']['namespace']} describe deploy,pod"
        return Finding("fail", "operator", f"{place} has no ready pod; look with `{look}`")
    message = (
        "no Deployment of the operator; a job waits until one runs (`make run-operator` aside)"
    )
    return Finding("warn", "operator", message)


def check_runtimes(cluster: Cluster) -> Finding:
    """A job has a runtime to name."""
    shared = _names(cluster, f"/apis/{GROUP}/{VERSION}/clusterrlhfruntimes")
    own = _names(cluster, f"/apis/{GROUP}/{VERSION}/namespaces/{cluster.namespace}/rlhfruntimes")
    if not shared + own:
        fix = "enable runtimes.items in the chart's values, or apply an RLHFRuntime"
        return Finding("fail", "runtimes", f"there is none; {fix}")
    text = ", ".join([*shared, *(f"{name} (of {cluster.namespace})" for name in own)])
    return Finding("ok", "runtimes", text)


def check_storage(cluster: Cluster) -> Finding:
    """There is a default StorageClass, for a claim made from `storage.output.size`."""
    classes = cluster.get("/apis/storage.k8s.io/v1/storageclasses", "storage classes")["items"]
    mark = "storageclass.kubernetes.io/is-default-class"
    for item in classes:
        if item["metadata"].get("annotations", {}).get(mark) == "true":
            name, maker = item["metadata"]["name"], item["provisioner"]
            return Finding("ok", "storage", f"default StorageClass {name} ({maker})")
    message = "no default StorageClass; name one in storage.output.storageClassName, or a claim"
    return Finding("warn", "storage", message)


def check_devices(cluster: Cluster) -> Finding:
    """What the nodes offer."""
    nodes = cluster.get("/api/v1/nodes", "nodes")["items"]
    totals: dict[str, int] = {}
    for node in nodes:
        for name, amount in node.get("status", {}).get("allocatable", {}).items():
            if "/" in name and amount.isdigit() and int(amount):
                totals[name] = totals.get(name, 0) + int(amount)
    devices = ", ".join(f"{amount} {name}" for name, amount in sorted(totals.items()))
    if not nodes:
        return Finding("fail", "nodes", "there is no node; no pod can run")
    return Finding("ok", "nodes", f"{len(nodes)} with {devices or 'no accelerators: CPU only'}")


def check_rights(cluster: Cluster) -> Finding:
    """What you may do in the namespace, as the API server says."""
    denied = [right for right in RIGHTS if not _is_allowed(cluster, *right)]
    if not denied:
        return Finding("ok", "your rights", f"enough in namespace {cluster.namespace}")
    said = ", ".join(
        f"{verb} {'/'.join(part for part in (resource, sub) if part)}"
        for _, resource, sub, verb in denied
    )
    needed = any(group == GROUP for group, *_ in denied)
    fix = f"ask for the role `edit` in namespace {cluster.namespace}"
    return Finding("fail" if needed else "warn", "your rights", f"you may not {said}; {fix}")


CHECKS: tuple[tuple[str, Check], ...] = (
    ("CRDs", check_kinds),
    ("KubeRay", check_kuberay),
    ("operator", check_operator),
    ("runtimes", check_runtimes),
    ("storage", check_storage),
    ("nodes", check_devices),
    ("your rights", check_rights),
)


def _resources(cluster: Cluster, path: str) -> set[str]:
    return {item["name"] for item in cluster.get(path, path)["resources"]}


def _names(cluster: Cluster, path: str) -> list[str]:
    items = cluster.get(path, path.rsplit("/", 1)[1])["items"]
    return sorted(item["metadata"]["name"] for item in items)


def _is_allowed(cluster: Cluster, group: str, resource: str, subresource: str, verb: str) -> bool:
    attributes: dict[str, Any] = {
        "namespace": cluster.namespace,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "verb": verb,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(cluster.send("POST", path, "access review", review)["status"]["allowed"])
