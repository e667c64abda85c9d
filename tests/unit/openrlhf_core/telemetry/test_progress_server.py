"""The progress and metrics ports, over real sockets."""

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError
from openrlhf_core.spec.progress import CheckpointRecord, Progress
from openrlhf_core.spec.run_config import PortsConfig
from openrlhf_core.telemetry.exposition import JobLabels, render_metrics
from openrlhf_core.telemetry.progress import ProgressBoard
from openrlhf_core.telemetry.server import ProgressServer

LABELS = JobLabels(namespace="team-a", rlhfjob="quickstart")
TOKEN = "s3cret"


def make_board() -> ProgressBoard:
    board = ProgressBoard(attempt=1, total_steps=80, versions={"torch": "2.13.0"})
    board.finish_step(3, {"reward/mean": 0.5, "time/rollout": 0.25, "reward_function/digits": 0.75})
    return board


@contextmanager
def serving(
    token: str | None = TOKEN,
    stop: Callable[[], None] = lambda: None,
    ports: PortsConfig | None = None,
) -> Iterator[ProgressServer]:
    free = PortsConfig(progress=0, metrics=0, host="127.0.0.1")
    server = ProgressServer(ports or free, make_board(), LABELS, stop, token)
    try:
        yield server
    finally:
        server.close()


def ask(
    port: int, path: str, method: str = "GET", authorization: str | None = f"Bearer {TOKEN}"
) -> tuple[int, str, str]:
    """Status, content type and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(
        method, path, headers={"Authorization": authorization} if authorization else {}
    )
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body


def test_progress_is_the_models_json() -> None:
    with serving() as server:
        status, content_type, body = ask(server.progress_port, "/progress")
    assert (status, content_type) == (200, "application/json")
    shown = Progress.model_validate_json(body)
    assert (shown.step, shown.total_steps, shown.metrics["reward/mean"]) == (3, 80, 0.5)
    assert "totalSteps" in json.loads(body)


def test_health_answers_ok() -> None:
    with serving() as server:
        assert ask(server.progress_port, "/healthz")[0] == 200


REFUSED = {
    None: 401,
    "Basic czNjcmV0": 401,
    "": 401,
    "Bearer wrong": 403,
    "Bearer ": 403,
    "Bearer s3cre": 403,
    "Bearer s3crett": 403,
    "Bearer \u00e9": 403,
}


@pytest.mark.parametrize("path", ["/progress", "/healthz", "/stop", "/nothing"])
def test_without_the_token_nothing_is_answered(path: str) -> None:
    asked: list[str] = []
    with serving(stop=lambda: asked.append("stop")) as server:
        for authorization, status in REFUSED.items():
            for method in ("GET", "POST"):
                found = ask(server.progress_port, path, method, authorization)[0]
                assert found == status, (authorization, method)
    assert asked == []


def test_the_scheme_may_be_written_in_any_case() -> None:
    with serving() as server:
        assert ask(server.progress_port, "/healthz", authorization="bearer s3cret")[0] == 200


def test_stop_calls_the_driver() -> None:
    asked = threading.Event()
    with serving(stop=asked.set) as server:
        assert ask(server.progress_port, "/stop")[0] == 405
        assert not asked.is_set()
        assert ask(server.progress_port, "/stop", "POST")[0] == 202
    assert asked.is_set()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/metrics", 404), ("GET", "/", 404), ("DELETE", "/progress", 405)],
)
def test_other_paths_and_methods_are_refused(method: str, path: str, status: int) -> None:
    with serving() as server:
        assert ask(server.progress_port, path, method)[0] == status


def test_metrics_need_no_token_and_tell_nothing_else() -> None:
    with serving() as server:
        status, content_type, body = ask(server.metrics_port, "/metrics", authorization=None)
        assert ask(server.metrics_port, "/progress")[0] == 404
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert 'rlhf_reward_mean{namespace="team-a",rlhfjob="quickstart"} 0.5' in body
    assert 'rlhf_time_rollout_seconds{namespace="team-a",rlhfjob="quickstart"} 0.25' in body


def test_every_series_bears_namespace_and_job_and_no_reserved_label() -> None:
    board = make_board()
    record = CheckpointRecord(step=3, path="checkpoints/step-00000003", time=1763830000.0)
    board.commit(record, 1)
    series = [
        line
        for line in render_metrics(board.snapshot(), LABELS).decode().splitlines()
        if not line.startswith("#")
    ]
    assert 'rlhf_step{namespace="team-a",rlhfjob="quickstart"} 3.0' in series
    assert 'rlhf_checkpoint_step{namespace="team-a",rlhfjob="quickstart"} 3.0' in series
    for line in series:
        labels = set(re.findall(r"(\w+)=", line))
        assert labels - {"function"} == {"namespace", "rlhfjob"}, line


def test_members_of_a_family_are_series_of_one_metric() -> None:
    board = make_board()
    board.finish_step(4, {"reward_function/format": 0.5})
    text = render_metrics(board.snapshot(), LABELS).decode()
    assert text.count("# TYPE rlhf_reward_function_mean gauge") == 1
    assert 'rlhfjob="quickstart",function="digits"} 0.75' in text.replace(
        'function="digits",namespace="team-a",rlhfjob="quickstart"',
        'namespace="team-a",rlhfjob="quickstart",function="digits"',
    )
    assert text.count("rlhf_reward_function_mean{") == 2


def test_a_loopback_port_may_go_without_a_token() -> None:
    with serving(token=None) as server:
        assert ask(server.progress_port, "/progress", authorization=None)[0] == 200


@pytest.mark.parametrize("token", [None, ""])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "some-host"])
def test_a_port_that_others_reach_needs_a_token(host: str, token: str | None) -> None:
    ports = PortsConfig(progress=0, metrics=0, host=host)
    with pytest.raises(ConfigurationError, match="no token"), serving(token, ports=ports):
        pass


def test_a_taken_port_is_said_and_nothing_keeps_listening() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = PortsConfig(progress=0, metrics=taken.getsockname()[1], host="127.0.0.1")
        told = pytest.raises(RetryableError, match=rf"port {ports.metrics} on 127\.0\.0\.1")
        with told, serving(ports=ports):
            pass
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("http-")]


def test_a_closed_server_frees_its_ports_at_once() -> None:
    with serving() as server:
        ports = PortsConfig(
            progress=server.progress_port, metrics=server.metrics_port, host="127.0.0.1"
        )
        assert ask(server.progress_port, "/healthz")[0] == 200
    with serving(ports=ports) as server:
        assert server.progress_port == ports.progress
        assert ask(server.progress_port, "/healthz")[0] == 200


def test_a_client_that_says_nothing_blocks_nobody() -> None:
    with serving() as server, socket.create_connection(("127.0.0.1", server.progress_port)):
        assert ask(server.progress_port, "/healthz")[0] == 200


@pytest.mark.parametrize("garbage", [b"\0\xff\r\n\r\n", b"GET\r\n\r\n", b"GET /" + b"x" * 70000])
def test_garbage_is_answered_or_dropped(garbage: bytes) -> None:
    with serving() as server:
        with socket.create_connection(("127.0.0.1", server.progress_port)) as client:
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(5)
            with suppress(ConnectionResetError):
                client.recv(100)
        assert ask(server.progress_port, "/healthz")[0] == 200


def test_an_answer_takes_milliseconds() -> None:
    with serving() as server:
        begin = time.perf_counter()
        for _ in range(20):
            ask(server.metrics_port, "/metrics")
        assert (time.perf_counter() - begin) / 20 < 0.1
