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
from rlhf_operator.context import Context
from rlhf_operator.ownership import is_owned_by


async def head_of(context: Context, cluster: Object) -> Head:
    """The dashboard of a RayCluster. NoAnswer while KubeRay has not made what leads there."""
    token = await _token(context, cluster)
    return Head(url_of(context, cluster, names.DASHBOARD_PORT), token)


def url_of(context: Context, cluster: Object, port: int) -> str:
    """A port of the head, by the DNS name of its service."""
    metadata = cluster["metadata"]
    domain = context.settings.cluster_domain
    host = names.head_host(metadata["name"], metadata["namespace"], domain)
    return context.locate(host, port)


async def _token(context: Context, cluster: Object) -> str:
    """The token of the head, once it and the head's service are known to be the cluster's."""
    uid, tokens = cluster["metadata"]["uid"], context.memo.tokens
    if uid not in tokens:
        name = cluster["metadata"]["name"]
        secret = await _belonging(context, SECRETS, cluster, names.token_secret(name))
        service_name = names.head_service(name)
        service = await _belonging(context, SERVICES, cluster, service_name)
        if service.get("spec", {}).get("type") == "ExternalName":
            raise NoAnswer(f"Service {service_name} leads out of the cluster; it is not used")
        try:
            encoded = secret.get("data", {}).get(names.TOKEN_KEY, "")
            tokens[uid] = base64.b64decode(encoded, validate=True).decode("ascii")
        except (binascii.Error, UnicodeError) as error:
            raise NoAnswer(f"Secret {names.token_secret(name)} holds no token") from error
    return tokens[uid]


async def _belonging(context: Context, resource: Resource, cluster: Object, name: str) -> Object:
    """The object of that name. NoAnswer when there is none, or it is not the RayCluster's."""
    namespace, uid = cluster["metadata"]["namespace"], cluster["metadata"]["uid"]
    try:
        found = await context.kubernetes.get(resource, namespace, name)
    except NotFound as error:
        raise NoAnswer(f"KubeRay has not made {resource.plural} {name} yet") from error
    if not is_owned_by(found, uid):
        raise NoAnswer(f"{resource.plural} {name} is there and does not belong to the RayCluster")
    return found
