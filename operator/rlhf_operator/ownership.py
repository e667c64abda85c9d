"""Which children are a job's own. Labels can be put on anything; so the controller counts too.

Only what is owned here is asked, adopted or deleted by the operator.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from rlhf_operator import names

Object = dict[str, Any]


def is_owned_by(child: Mapping[str, Any], uid: str) -> bool:
    """Whether the controller of a child is the object of that uid."""
    owner = _controller(child)
    return owner is not None and bool(uid) and owner.get("uid") == uid


def own_clusters(raws: Iterable[Object], job_name: str, job_uid: str) -> list[Object]:
    """The RayClusters that the operator made for this very job, not for an earlier one of its
    name."""
    return [
        raw
        for raw in raws
        if is_owned_by(raw, job_uid)
        and names.is_ray_cluster_name(str(raw["metadata"]["name"]), job_name, job_uid)
    ]


def own_pods(
    raws: Iterable[Object], clusters: Iterable[Object], job_name: str, job_uid: str
) -> list[Object]:
    """The pods that KubeRay made for own RayClusters, in the order of their names.

    `clusters` are all that bear the job's label. A pod outlives its RayCluster for a moment; so the
    owner's name is judged, and its uid only where the owner is there and another's.
    """
    listed = list(clusters)
    own = {raw["metadata"]["uid"] for raw in own_clusters(listed, job_name, job_uid)}
    foreign = {raw["metadata"]["uid"] for raw in listed} - own
    found = [raw for raw in raws if _is_own_pod(raw, foreign, job_name, job_uid)]
    return sorted(found, key=lambda raw: str(raw["metadata"]["name"]))


def _is_own_pod(raw: Object, foreign: set[str], job_name: str, job_uid: str) -> bool:
    owner = _controller(raw)
    if owner is None or owner.get("kind") != "RayCluster" or owner.get("uid") in foreign:
        return False
    cluster = (raw["metadata"].get("labels") or {}).get(names.LABEL_RAY_CLUSTER)
    is_named = owner.get("name") == cluster
    return is_named and names.is_ray_cluster_name(str(cluster), job_name, job_uid)


def _controller(child: Mapping[str, Any]) -> Mapping[str, Any] | None:
    owners = child.get("metadata", {}).get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)
