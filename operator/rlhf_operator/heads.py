"""How to reach a cluster's head: its service's name and the token that KubeRay made for it."""

import base64

from rlhf_operator import names
from rlhf_operator.clients.api_errors import NotFound
from rlhf_operator.clients.kubernetes import SECRETS, Object
from rlhf_operator.clients.ray import Head, RayUnreachable
from rlhf_operator.context import Context


async def head_of(context: Context, cluster: Object) -> Head:
    """The dashboard of a RayCluster. RayUnreachable while it has no token yet."""
    token = await _token(context, cluster)
    return Head(url_of(context, cluster, names.DASHBOARD_PORT), token)


def url_of(context: Context, cluster: Object, port: int) -> str:
    """A port of the head, by the DNS name of the service that KubeRay made for it."""
    metadata = cluster["metadata"]
    service = cluster.get("status", {}).get("head", {}).get("serviceName")
    service = service or names.head_service(metadata["name"])
    host = f"{service}.{metadata['namespace']}.{context.settings.cluster_domain}"
    return context.locate(host, port)


async def _token(context: Context, cluster: Object) -> str:
    metadata, tokens = cluster["metadata"], context.memo.tokens
    uid = metadata["uid"]
    if uid not in tokens:
        try:
            secret = await context.kubernetes.get(SECRETS, metadata["namespace"], metadata["name"])
            tokens[uid] = base64.b64decode(secret["data"][names.TOKEN_KEY]).decode()
        except (NotFound, KeyError) as error:
            raise RayUnreachable(f"no token of {metadata['name']} yet") from error
    return tokens[uid]
