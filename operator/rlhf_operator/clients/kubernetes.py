"""The API server: read, create, apply, patch and delete objects as plain data.

The official `kubernetes` package holds the connection, because it reads every kubeconfig and
in-cluster token as kubectl does and renews tokens; its calls block, so each runs in a bounded
pool of threads and never on the event loop. Objects stay plain JSON: kinds are ours or KubeRay's.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import kubernetes
import urllib3

from rlhf_operator.clients.api_errors import ApiError, error_from
from rlhf_operator.names import FIELD_MANAGER

logger = logging.getLogger(__name__)

Object = dict[str, Any]
Headers = dict[str, str]
Call = Callable[[str, int], None]
TIMEOUT_SECONDS = (5, 30)
PAGE_SIZE = 500


@dataclass(frozen=True)
class Resource:
    """Where a kind lies in the API: `Resource("ray.io/v1", "rayclusters")`."""

    api_version: str
    plural: str

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The URL path of the collection or, with a name, of the object."""
        root = "/apis" if "/" in self.api_version else "/api"
        place = f"/namespaces/{quote(namespace)}" if namespace else ""
        return f"{root}/{self.api_version}{place}/{self.plural}" + (
            f"/{quote(name)}" if name else ""
        )


JOBS = Resource("openrlhf.io/v1alpha1", "rlhfjobs")
RUNTIMES = Resource("openrlhf.io/v1alpha1", "rlhfruntimes")
CLUSTER_RUNTIMES = Resource("openrlhf.io/v1alpha1", "clusterrlhfruntimes")
RAY_CLUSTERS = Resource("ray.io/v1", "rayclusters")
PODS = Resource("v1", "pods")
CONFIG_MAPS = Resource("v1", "configmaps")
CLAIMS = Resource("v1", "persistentvolumeclaims")
SECRETS = Resource("v1", "secrets")
SERVICES = Resource("v1", "services")
EVENTS = Resource("v1", "events")
NETWORK_POLICIES = Resource("networking.k8s.io/v1", "networkpolicies")


class KubernetesClient:
    """Calls of the API server. `on_call(verb, status)` is told of each, for the metrics."""

    def __init__(
        self,
        api: kubernetes.client.ApiClient,
        threads: int = 16,
        on_call: Call = lambda verb, status: None,
    ) -> None:
        self._api = api
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="kubernetes")
        self._on_call = on_call

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """The object. Raises NotFound."""
        return await self._request("GET", resource.path(namespace, name))

    async def list_all(
        self, resource: Resource, namespace: str | None, **selectors: str
    ) -> list[Object]:
        """Every object that the selectors (`labelSelector`, `fieldSelector`) fit, page by page."""
        items: list[Object] = []
        query = {**selectors, "limit": str(PAGE_SIZE)}
        while True:
            page = await self._request("GET", resource.path(namespace), query=query)
            items += page.get("items", [])
            token = page.get("metadata", {}).get("continue")
            if not token:
                return items
            query["continue"] = token

    async def create(
        self, resource: Resource, namespace: str, body: Object, dry_run: bool = False
    ) -> Object:
        """The object as made. Raises Conflict when it is there already."""
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        return await self._request("POST", resource.path(namespace), query=query, body=body)

    async def apply(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        """Server-side apply under our field manager: made or brought to `body`, idempotent."""
        return await self._request(
            "PATCH",
            resource.path(namespace, name),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=body,
            content_type="application/apply-patch+yaml",
        )

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, body: Object, subresource: str = ""
    ) -> Object:
        """The object after a merge patch. A `metadata.resourceVersion` in it must still hold,
        else Conflict."""
        path = resource.path(namespace, name) + (f"/{subresource}" if subresource else "")
        query = {"fieldManager": FIELD_MANAGER}
        return await self._request("PATCH", path, query, body, "application/merge-patch+json")

    async def json_patch(
        self, resource: Resource, namespace: str, name: str, operations: list[Object]
    ) -> Object:
        """The object after a JSON patch; raises Invalid when one of its tests does not hold."""
        path, query = resource.path(namespace, name), {"fieldManager": FIELD_MANAGER}
        return await self._request("PATCH", path, query, operations, "application/json-patch+json")

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str | None = None
    ) -> None:
        """Deletes in the background; with a uid only that very object (Conflict otherwise)."""
        body: Object = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        await self._request("DELETE", resource.path(namespace, name), body=body)

    async def serves(self, api_version: str) -> bool:
        """Whether the API server serves a group's version, as `ray.io/v1`."""
        try:
            await self._request("GET", f"/apis/{api_version}")
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def close(self) -> None:
        """Lets calls under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        loop = asyncio.get_running_loop()
        call = (method, path, dict(query or {}), body, content_type)
        return await loop.run_in_executor(self._pool, self._send, *call)

    def _send(self, method: str, path: str, query: Headers, body: Any, content_type: str) -> Object:
        """One blocking request, in a thread. Raises ApiError, also when there is no answer."""
        headers = {"Accept": "application/json", "Content-Type": content_type}
        verb, url, headers, payload, _ = self._api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._api.call_api(
                verb, url, headers, payload, _request_timeout=TIMEOUT_SECONDS
            )
            text: bytes = response.read()  # type: ignore[no-untyped-call]
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._on_call(method, 0)
            raise ApiError(0, "NoAnswer", f"{method} {path}: {error}") from error
        self._on_call(method, response.status)
        data = _decode(text)
        if not 200 <= response.status <= 299:
            raise error_from(response.status, data)
        return data


def _decode(text: bytes) -> Object:
    """The JSON object that was answered; what is none is carried as a message."""
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    return data if isinstance(data, dict) else {"message": text[:500].decode(errors="replace")}


def connect(threads: int = 16, on_call: Call = lambda verb, status: None) -> KubernetesClient:
    """A client for the cluster this pod runs in, else for the current kubeconfig."""
    configuration = kubernetes.client.Configuration()
    configuration.connection_pool_maxsize = threads
    configuration.retries = False
    try:
        kubernetes.config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )
    return KubernetesClient(kubernetes.client.ApiClient(configuration), threads, on_call)
