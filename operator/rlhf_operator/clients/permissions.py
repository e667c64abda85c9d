"""What the operator may ask of the API server: the one table that the chart's RBAC is made from.

A call of `clients/` or of kopf that is not listed here is answered 403 on an installed operator;
an entry that no call needs is a fault too (tested against the calls really made).
`python -m rlhf_operator.codegen.rbac` writes the chart's Role and ClusterRole from it.
"""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["Namespace", "Cluster", "AllNamespaces"]
"""Where a rule holds: in watched namespaces; in the cluster; in the cluster, where all namespaces
are watched."""


@dataclass(frozen=True)
class Permission:
    """One rule: `verbs` on `resources` of an API `group`."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    scope: Scope
    why: str


PERMISSIONS: tuple[Permission, ...] = (
    Permission(
        "openrlhf.io",
        ("rlhfjobs",),
        ("get", "list", "watch", "patch", "delete"),
        "Namespace",
        "watch jobs, keep the finalizer, delete a job whose time to live is over",
    ),
    Permission(
        "openrlhf.io",
        ("rlhfjobs/status",),
        ("patch",),
        "Namespace",
        "the one status write of a pass",
    ),
    Permission(
        "openrlhf.io",
        ("rlhfjobs/finalizers",),
        ("update",),
        "Namespace",
        "children block the owner's deletion (OwnerReferencesPermissionEnforcement)",
    ),
    Permission(
        "openrlhf.io",
        ("rlhfruntimes",),
        ("get",),
        "Namespace",
        "resolve a job's runtimeRef once",
    ),
    Permission(
        "openrlhf.io",
        ("clusterrlhfruntimes",),
        ("get",),
        "Cluster",
        "resolve a job's runtimeRef once",
    ),
    Permission(
        "apiextensions.k8s.io",
        ("customresourcedefinitions",),
        ("list", "watch"),
        "AllNamespaces",
        "begin to watch RayClusters when KubeRay is installed after the operator",
    ),
    Permission(
        "ray.io",
        ("rayclusters",),
        ("get", "list", "watch", "create", "patch", "delete"),
        "Namespace",
        "one RayCluster for each attempt that needs a new one",
    ),
    Permission(
        "",
        ("pods",),
        ("list", "watch", "create"),
        "Namespace",
        "diagnose pods of a RayCluster; create is for the dry-run pod that judges fragments",
    ),
    Permission(
        "",
        ("configmaps",),
        ("get", "create"),
        "Namespace",
        "the job's RunConfig and runtime snapshot; sources by configmap://",
    ),
    Permission(
        "",
        ("persistentvolumeclaims",),
        ("get", "create"),
        "Namespace",
        "the output claim; claims named by the job must exist",
    ),
    Permission(
        "",
        ("secrets",),
        ("get",),
        "Namespace",
        "the Ray token that KubeRay made for a cluster of ours",
    ),
    Permission(
        "",
        ("services",),
        ("get",),
        "Namespace",
        "see that the head's service is the one that KubeRay made",
    ),
    Permission(
        "networking.k8s.io",
        ("networkpolicies",),
        ("get", "create", "patch", "delete"),
        "Namespace",
        "one NetworkPolicy a job, removed when no pods are left",
    ),
    Permission(
        "",
        ("events",),
        ("create", "list"),
        "Namespace",
        "say transitions; read why KubeRay or the scheduler refused a child",
    ),
)
