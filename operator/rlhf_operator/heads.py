"""How to reach a cluster's head: the service and the token that KubeRay made for it.

Both are looked up by the name that KubeRay gives them, never by what a status says, and only those
are used that belong to the RayCluster: somebody may have made others of that name before.
"""

import base64
import binascii

from rlhf_operator import names
from rlhf_operator.clients.api_errors import NotFound
from rlhf_operator.clients.head_http import NoAnswer
from rlhf_operator.clients.kubernetes import SECRETS, SERVICES, Object, Resource
from rlhf_operator.clients.ray import Head
from rlhf_operator.context import Context, KnownHead
from rlhf_operator.ownership import is_owned_by


async def head_of(context: Context, cluster: Object) -> Head:
    """The dashboard of a RayCluster. NoAnswer while KubeRay has not made what leads there."""
    uid, heads = cluster["metadata"]["uid"], context.memo.heads
    if uid not in heads:
        heads[uid] = await _look_up(context, cluster)
    return Head(_url(context, cluster, heads[uid], names.DASHBOARD_PORT), heads[uid].token)


def progress_of(context: Context, cluster: Object) -> Head | None:
    """Where the driver on a head answers; None while the head is not known."""
    known = context.memo.heads.get(cluster["metadata"]["uid"])
    if known is None:
        return None
    return Head(_url(context, cluster, known, names.PROGRESS_PORT), known.token)


def _url(context: Context, cluster: Object, known: KnownHead, port: int) -> str:
    domain, namespace = context.settings.cluster_domain, cluster["metadata"]["namespace"]
    return context.locate(names.service_host(known.service, namespace, domain), port)


async def _look_up(context: Context, cluster: Object) -> KnownHead:
    name = cluster["metadata"]["name"]
    secret = await _belonging(context, SECRETS, cluster, name)
    service = await _belonging(context, SERVICES, cluster, names.head_service(name))
    service_name = str(service["metadata"]["name"])
    if service.get("spec", {}).get("type") == "ExternalName":
        raise NoAnswer(f"Service {service_name} leads out of the cluster; it is not used")
    try:
        encoded = secret.get("data", {}).get(names.TOKEN_KEY, "")
        token = base64.b64decode(encoded, validate=True).decode("ascii")
    except (binascii.Error, UnicodeError) as error:
        raise NoAnswer(f"Secret {secret['metadata']['name']} holds no token") from error
    return KnownHead(service_name, token)


async def _belonging(context: Context, resource: Resource, cluster: Object, name: str) -> Object:
    """The object that KubeRay gave that name. NoAnswer when there is none, or it is not the
    RayCluster's."""
    namespace, uid = cluster["metadata"]["namespace"], cluster["metadata"]["uid"]
    for possible in names.kuberay_names(name):
        try:
            found = await context.kubernetes.get(resource, namespace, possible)
        except NotFound:
            continue
        if not is_owned_by(found, uid):
            what = f"{resource.plural} {possible}"
            raise NoAnswer(f"{what} is there and does not belong to the RayCluster")
        return found
    raise NoAnswer(f"KubeRay has not made {resource.plural} {name} yet")
