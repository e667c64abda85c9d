"""Who may reach a job's pods: themselves, the operator, and Prometheus on the metrics port."""

from rlhf_operator import names
from rlhf_operator.desired.identity import JobIdentity
from rlhf_operator.desired.ray_types import Object

NAMESPACE_NAME = "kubernetes.io/metadata.name"


def network_policy(
    job: JobIdentity, operator_namespace: str, monitoring_namespace: str | None
) -> Object:
    """Ray's ports, progress and metrics are closed to everyone else in the cluster."""
    ingress: list[Object] = [
        {"from": [{"podSelector": {"matchLabels": {names.LABEL_JOB_UID: job.uid}}}]},
        {
            "from": [
                {
                    "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: operator_namespace}},
                    "podSelector": {"matchLabels": {names.LABEL_OPERATOR: names.OPERATOR_NAME}},
                }
            ],
            "ports": [_port(names.DASHBOARD_PORT), _port(names.PROGRESS_PORT)],
        },
    ]
    if monitoring_namespace:
        selector = {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: monitoring_namespace}}}
        ports = [_port(names.METRICS_PORT), _port(names.RAY_METRICS_PORT)]
        ingress.append({"from": [selector], "ports": ports})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": job.child_metadata(names.network_policy_name(job.name)),
        "spec": {
            "podSelector": {"matchLabels": {names.LABEL_JOB_UID: job.uid}},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


def _port(number: int) -> Object:
    return {"protocol": "TCP", "port": number}
