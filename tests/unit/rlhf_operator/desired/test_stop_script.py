"""The preStop script against a real HTTP server."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rlhf_operator import names
from rlhf_operator.desired import stop_script
from rlhf_operator.desired.stop_hook import SCRIPT


class FakeDriver(ThreadingHTTPServer):
    """Answers as a driver does, until it was asked `asks` times whether it still lives."""

    daemon_threads = False

    def __init__(self, asks: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asks = asks
        self.seen: list[str] = []
        self.tokens: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeDriver

    def _answer(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        self.server.tokens.append(self.headers.get("Authorization"))
        is_asked_often = len(self.server.seen) > self.server.asks
        if is_asked_often:
            self.connection.close()
            return
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ValueError, OSError):
            return


@pytest.fixture
def driver() -> Iterator[FakeDriver]:
    server = FakeDriver(asks=3)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_driver_is_asked_once_and_waited_for(
    driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert stop_script.stop_and_wait(driver.url, seconds=20, pause=0.01)
    assert driver.seen[0] == "POST /stop"
    assert set(driver.seen[1:]) == {"GET /healthz"}
    assert set(driver.tokens) == {"Bearer secret"}


def test_waiting_ends_when_the_time_is_over(driver: FakeDriver) -> None:
    driver.asks = 10_000
    started = time.monotonic()
    stop_script.stop_and_wait(driver.url, seconds=0.2, pause=0.01)
    assert time.monotonic() - started < 5


def test_nobody_to_ask_is_nothing_to_wait_for() -> None:
    started = time.monotonic()
    assert not stop_script.stop_and_wait("http://127.0.0.1:9", seconds=30)
    assert time.monotonic() - started < 5


def test_the_script_travels_as_it_stands_and_knows_the_port() -> None:
    assert stop_script.PORT == names.PROGRESS_PORT
    assert SCRIPT.startswith('"""Run in a pod as its preStop hook')
    compile(SCRIPT, "stop.py", "exec")
