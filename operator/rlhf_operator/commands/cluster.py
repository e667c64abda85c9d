"""The API server as the commands see it: plain objects in and out, every refusal in words.

All calls go through `Cluster`; what the server refuses becomes a ConfigurationError that names
the object, the namespace and the fix. Callers act on `NotFoundError` and `ConflictError`.
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from openrlhf_core.spec.exit_codes import ConfigurationError
from rlhf_operator.names import GROUP, JOBS, VERSION

Manifest = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"

TIMEOUT_SECONDS = (5, 30)
"""To connect, and to be answered."""


class NotFoundError(ConfigurationError):
    """The object, or its kind, is not on the cluster."""


class ConflictError(ConfigurationError):
    """The object is there already, or was changed by another."""


def open_cluster(namespace: str | None) -> "Cluster":
    """The cluster of the current kubeconfig context, or of the pod this runs in.

    `namespace` None means the context's, else `default`.
    """
    file = os.environ.get("KUBECONFIG") or None  # the package reads it only when it is imported
    try:
        api = config.new_client_from_config(file)  # type: ignore[no-untyped-call]
        current = config.list_kube_config_contexts(file)[1]  # type: ignore[no-untyped-call]
    except ConfigException as fault:
        return _inside_a_pod(namespace, fault)
    own = current.get("context", {}).get("namespace", "default")
    api.configuration.retries = 1
    return Cluster(api, namespace or own, str(current.get("name", "")))


def _inside_a_pod(namespace: str | None, fault: ConfigException) -> "Cluster":
    try:
        config.load_incluster_config()  # type: ignore[no-untyped-call]
    except ConfigException:
        raise ConfigurationError(
            f"no cluster to speak to: {fault}; point KUBECONFIG at a kubeconfig file, or log in "
            "with your provider's tool (`kubectl config current-context` must answer)"
        ) from fault
    return Cluster(client.ApiClient(), namespace or "default", "in-cluster")


class Cluster:
    """One cluster, seen from one namespace."""

    def __init__(self, api: client.ApiClient, namespace: str, context: str) -> None:
        self.api = api
        self.namespace = namespace
        self.context = context

    def get(self, path: str, what: str, **query: str) -> Manifest:
        """The object or list at `path`; `what` names it in messages."""
        answer = json.loads(self.text("GET", path, what, query=query))
        assert isinstance(answer, dict)
        return answer

    def send(self, method: str, path: str, what: str, body: object, **query: str) -> Manifest:
        """The object that the server made of `body`. PATCH sends a JSON merge patch."""
        answer = json.loads(self.text(method, path, what, body=body, query=query))
        assert isinstance(answer, dict)
        return answer

    def text(
        self,
        method: str,
        path: str,
        what: str,
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """The body of the server's answer, as text."""
        return _read(
            self.stream(method, path, what, body=body, query=query, headers=headers)
        ).decode(errors="replace")

    def stream(
        self,
        method: str,
        path: str,
        what: str,
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: tuple[float, float | None] = TIMEOUT_SECONDS,
    ) -> Any:
        """The server's answer, unread: a urllib3 response. ConfigurationError for every refusal."""
        kind = MERGE_PATCH if method == "PATCH" else "application/json"
        request = self.api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Content-Type": kind, "Accept": "*/*", **(headers or {})},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self.api.call_api(*request, _request_timeout=timeout)
        except (ApiException, HTTPError, OSError) as fault:
            raise ConfigurationError(
                f"the API server at {self.api.configuration.host} does not answer: {fault}; is "
                f"the cluster up, and the context {self.context!r} the one you mean?"
            ) from fault
        if answer.status >= 400:
            body_text = _read(answer.response).decode(errors="replace")
            raise _in_words(answer.status, body_text, what, self.namespace)
        return answer.response

    # paths ----------------------------------------------------------------

    def jobs_path(self, name: str = "", *, everywhere: bool = False) -> str:
        """Path of a job, or of all jobs of the namespace or of the cluster."""
        space = "" if everywhere else f"namespaces/{self.namespace}/"
        return f"/apis/{GROUP}/{VERSION}/{space}{JOBS}" + (f"/{name}" if name else "")

    def core_path(self, resource: str, name: str = "") -> str:
        """Path of an object of the core API in the namespace."""
        return f"/api/v1/namespaces/{self.namespace}/{resource}" + (f"/{name}" if name else "")

    def path_of(self, manifest: Manifest) -> str:
        """Path of an object that a person wrote; its namespace is the cluster view's.

        Raises NotFoundError for a kind that the cluster does not have.
        """
        version, kind = manifest["apiVersion"], manifest["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        for resource in self.get(root, f"{kind} ({version})")["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                space = f"/namespaces/{self.namespace}" if resource["namespaced"] else ""
                return f"{root}{space}/{resource['name']}/{manifest['metadata']['name']}"
        raise NotFoundError(f"the cluster does not know the kind {kind} of {version}")

    def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """The object after a server-side apply, as `kubectl apply --server-side` does it."""
        what = f"{manifest['kind'].lower()} {manifest['metadata']['name']}"
        answer = self.text(
            "PATCH",
            self.path_of(manifest),
            what,
            body=manifest,
            query={"fieldManager": "rlhf"} | ({"dryRun": "All"} if dry_run else {}),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        applied = json.loads(answer)
        assert isinstance(applied, dict)
        return applied

    # jobs -----------------------------------------------------------------

    def job(self, name: str) -> Manifest:
        """The job as the server has it."""
        return self.get(self.jobs_path(name), f"rlhfjob {name}")

    def jobs(self, *, everywhere: bool = False) -> list[Manifest]:
        """Jobs of the namespace, or of all."""
        path = self.jobs_path(everywhere=everywhere)
        items = self.get(path, "rlhfjobs")["items"]
        assert isinstance(items, list)
        return items

    def patch_job(self, name: str, patch: Manifest) -> Manifest:
        """The job after a merge patch of it."""
        return self.send("PATCH", self.jobs_path(name), f"rlhfjob {name}", patch)

    def watch_job(self, name: str, timeout_seconds: int = 300) -> Iterator[Manifest]:
        """The job now and whenever it changes, until it is deleted or the time is over."""
        query = {
            "fieldSelector": f"metadata.name={name}",
            "watch": "true",
            "timeoutSeconds": str(timeout_seconds),
        }
        path = self.jobs_path()
        response = self.stream("GET", path, f"rlhfjob {name}", query=query, timeout=(5, None))
        for event in _events(response):
            if event["type"] not in ("ADDED", "MODIFIED"):
                return
            yield event["object"]


def _events(response: Any) -> Iterator[Manifest]:
    try:
        for line in lines_of(response):
            yield json.loads(line)
    finally:
        response.close()


def lines_of(response: Any) -> Iterator[bytes]:
    """Whole lines of a streamed answer, as they come, without empty ones."""
    rest = b""
    for chunk in response.stream(8192):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
    if rest.strip():
        yield rest


def _read(response: Any) -> bytes:
    try:
        data = response.read()
    finally:
        response.release_conn()
    assert isinstance(data, bytes)
    return data


def _in_words(status: int, body: str, what: str, namespace: str) -> ConfigurationError:
    message = _server_message(body)
    if status == 404 and "page not found" in message:
        kind = what.split(maxsplit=1)[0]
        return NotFoundError(
            f"the cluster does not know {kind}: its CRD is not installed; install the operator's "
            "chart (`helm install rlhf-operator …`, see docs/cluster.md), then try again"
        )
    if status == 404:
        return NotFoundError(f"{what} is not in namespace {namespace}; look with `rlhf list -A`")
    if status == 409:
        return ConflictError(f"{what} in namespace {namespace}: {message}")
    if status in (401, 403):
        return ConfigurationError(
            f"{what}: the cluster does not allow it: {message}; ask for the role `edit` (or `view` "
            f"to look only) in namespace {namespace}, or log in again"
        )
    return ConfigurationError(f"{what}: the API server answered {status}: {message}")


def _server_message(body: str) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return body.strip()[:500] or "nothing"
    return str(answer.get("message", body)) if isinstance(answer, dict) else body
