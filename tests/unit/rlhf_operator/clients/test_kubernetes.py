"""The API client against an HTTP server: requests as Kubernetes wants them, errors by kind."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import kubernetes
import pytest

from rlhf_operator.clients.api_errors import (
    ApiError,
    Conflict,
    Denied,
    Invalid,
    NoSuchKind,
    NotFound,
)
from rlhf_operator.clients.kubernetes import CONFIG_MAPS, JOBS, PODS, KubernetesClient


class FakeApi(ThreadingHTTPServer):
    """Answers what it is told to, in order, and remembers what it was asked."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str, dict[str, str], str | None, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: FakeApi

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        content_type = self.headers.get("Content-Type")
        self.server.asked.append((self.command, parts.path, query, content_type, body))
        status, answer = self.server.answers.pop(0)
        text = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def api() -> Iterator[FakeApi]:
    server = FakeApi()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


Ask = Callable[[Callable[[KubernetesClient], Any]], Any]


@pytest.fixture
def ask(api: FakeApi) -> Iterator[Ask]:
    """Runs one call of a client that speaks to the fake."""
    configuration = kubernetes.client.Configuration(host=f"http://127.0.0.1:{api.server_port}")
    configuration.api_key = {"BearerToken": "t"}
    connection = kubernetes.client.ApiClient(configuration)
    client = KubernetesClient(connection, threads=2)

    async def run(call: Callable[[KubernetesClient], Any]) -> Any:
        return await call(client)

    yield lambda call: asyncio.run(run(call))
    client.close()
    connection.rest_client.pool_manager.clear()


def test_objects_are_named_by_group_namespace_and_name() -> None:
    assert JOBS.path("team-a", "x") == "/apis/openrlhf.io/v1alpha1/namespaces/team-a/rlhfjobs/x"
    assert PODS.path() == "/api/v1/pods"


def test_lists_are_read_page_by_page(api: FakeApi, ask: Ask) -> None:
    api.answers = [
        (200, {"items": [{"n": 1}], "metadata": {"continue": "more"}}),
        (200, {"items": [{"n": 2}], "metadata": {}}),
    ]
    found = ask(lambda c: c.list_all(PODS, "team-a", labelSelector="a=b"))
    assert found == [{"n": 1}, {"n": 2}]
    assert [asked[2].get("continue") for asked in api.asked] == [None, "more"]
    assert all(asked[2]["labelSelector"] == "a=b" for asked in api.asked)


def test_apply_is_server_side_under_our_name(api: FakeApi, ask: Ask) -> None:
    api.answers = [(200, {})]
    ask(lambda c: c.apply(CONFIG_MAPS, "team-a", "x", {"data": {}}))
    method, path, query, content_type, body = api.asked[0]
    assert (method, path) == ("PATCH", "/api/v1/namespaces/team-a/configmaps/x")
    assert query == {"fieldManager": "rlhf-operator", "force": "true"}
    assert (content_type, body) == ("application/apply-patch+yaml", {"data": {}})


def test_status_is_merged_under_its_own_path(api: FakeApi, ask: Ask) -> None:
    api.answers = [(200, {})]
    ask(lambda c: c.merge_patch(JOBS, "team-a", "x", {"status": {}}, subresource="status"))
    assert api.asked[0][1].endswith("/rlhfjobs/x/status")
    assert api.asked[0][3] == "application/merge-patch+json"


def test_a_json_patch_is_a_list(api: FakeApi, ask: Ask) -> None:
    api.answers = [(200, {})]
    ask(lambda c: c.json_patch(JOBS, "team-a", "x", [{"op": "test"}]))
    assert api.asked[0][3:] == ("application/json-patch+json", [{"op": "test"}])


def test_a_deletion_names_the_very_object(api: FakeApi, ask: Ask) -> None:
    api.answers = [(200, {})]
    ask(lambda c: c.delete(JOBS, "team-a", "x", uid="u"))
    assert api.asked[0][4] == {
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u"},
    }


def test_a_dry_run_makes_nothing(api: FakeApi, ask: Ask) -> None:
    api.answers = [(201, {})]
    ask(lambda c: c.create(PODS, "team-a", {"kind": "Pod"}, dry_run=True))
    assert api.asked[0][2]["dryRun"] == "All"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, {"reason": "NotFound", "details": {"name": "x"}}, NotFound),
        (404, "404 page not found", NoSuchKind),
        (409, {"reason": "AlreadyExists"}, Conflict),
        (403, {"reason": "Forbidden", "message": "no rights"}, Denied),
        (422, {"reason": "Invalid"}, Invalid),
        (500, {"reason": "InternalError"}, ApiError),
        (503, "overloaded", ApiError),
    ],
)
def test_refusals_are_told_apart(
    api: FakeApi, ask: Ask, status: int, body: Any, kind: type[ApiError]
) -> None:
    api.answers = [(status, body)]
    with pytest.raises(ApiError) as caught:
        ask(lambda c: c.get(JOBS, "team-a", "x"))
    assert type(caught.value) is kind
    assert caught.value.status == status


def test_a_group_that_is_not_served_is_seen(api: FakeApi, ask: Ask) -> None:
    api.answers = [(404, "404 page not found"), (200, {})]
    assert ask(lambda c: c.serves("ray.io/v1")) is False
    assert ask(lambda c: c.serves("ray.io/v1")) is True


def test_no_answer_is_an_error_of_its_own() -> None:
    configuration = kubernetes.client.Configuration(host="http://127.0.0.1:9")
    configuration.retries = False
    calls: list[tuple[str, int]] = []
    client = KubernetesClient(
        kubernetes.client.ApiClient(configuration), 1, lambda *call: calls.append(call)
    )

    async def run() -> Any:
        return await client.get(JOBS, "team-a", "x")

    with pytest.raises(ApiError) as caught:
        asyncio.run(run())
    client.close()
    assert (caught.value.status, calls) == (0, [("GET", 0)])
