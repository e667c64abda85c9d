"""The driver's two ports: progress and stop for whoever holds the job's token, metrics for all.

Pulled by the operator and by Prometheus; answered from threads of their own while training goes on.
"""

import hmac
import ipaddress
import json
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError
from openrlhf_core.spec.run_config import PortsConfig
from openrlhf_core.telemetry.exposition import CONTENT_TYPE, JobLabels, render_metrics
from openrlhf_core.telemetry.progress import ProgressBoard

logger = logging.getLogger(__name__)

JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """What a path answers."""

    status: HTTPStatus
    body: bytes
    content_type: str = JSON


Route = Callable[[], Answer]


class ProgressServer:
    """Serves from construction until `close`.

    Port 0 takes a free port; `progress_port` and `metrics_port` say which. `stop` is called, from a
    thread of the server, at each POST /stop. Raises ConfigurationError when others could reach the
    progress port and there is no token, RetryableError when a port is taken.
    """

    def __init__(
        self,
        ports: PortsConfig,
        board: ProgressBoard,
        labels: JobLabels,
        stop: Callable[[], None],
        token: str | None,
    ) -> None:
        if not token and not _is_loopback(ports.host):
            raise ConfigurationError(
                f"ports.host is {ports.host}, which other machines reach, and there is no token; "
                "set RAY_AUTH_TOKEN, or 127.0.0.1 as the host"
            )
        self._progress = _listen(ports.host, ports.progress, _progress_routes(board, stop), token)
        try:
            self._metrics = _listen(ports.host, ports.metrics, _metrics_routes(board, labels), None)
        except BaseException:
            _shut(self._progress)
            raise

    @property
    def progress_port(self) -> int:
        return self._progress.server_port

    @property
    def metrics_port(self) -> int:
        return self._metrics.server_port

    def close(self) -> None:
        """Stops listening; answers under way are finished or dropped."""
        _shut(self._progress)
        _shut(self._metrics)


def _progress_routes(board: ProgressBoard, stop: Callable[[], None]) -> dict[str, Route]:
    def progress() -> Answer:
        body = board.snapshot().model_dump_json(by_alias=True).encode()
        return Answer(HTTPStatus.OK, body)

    def health() -> Answer:
        return _say(HTTPStatus.OK, "ok")

    def request_stop() -> Answer:
        logger.info("a stop was asked for through POST /stop")
        stop()
        return _say(HTTPStatus.ACCEPTED, "stopping")

    return {"GET /progress": progress, "GET /healthz": health, "POST /stop": request_stop}


def _metrics_routes(board: ProgressBoard, labels: JobLabels) -> dict[str, Route]:
    def metrics() -> Answer:
        return Answer(HTTPStatus.OK, render_metrics(board.snapshot(), labels), CONTENT_TYPE)

    return {"GET /metrics": metrics}


def _say(status: HTTPStatus, message: str) -> Answer:
    return Answer(status, json.dumps({"message": message}).encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, routes: dict[str, Route], token: str | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.routes = routes
        self.token = token
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Binds without asking the name service for this host's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a request of %s was not answered", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    server_version = "rlhf"
    sys_version = ""

    def _answer(self) -> None:
        answer = self._authorize() or self._route()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def _authorize(self) -> Answer | None:
        """None for who may ask; the comparison takes the same time for every wrong token."""
        token = self.server.token
        if not token:
            return None
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return _say(HTTPStatus.UNAUTHORIZED, "send the job's token: Authorization: Bearer …")
        if not hmac.compare_digest(given.strip().encode(), token.encode()):
            return _say(HTTPStatus.FORBIDDEN, "this is not the job's token")
        return None

    def _route(self) -> Answer:
        path = self.path.partition("?")[0]
        route = self.server.routes.get(f"{self.command} {path}")
        if route is not None:
            return route()
        if any(known.endswith(f" {path}") for known in self.server.routes):
            return _say(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} does not take {self.command}")
        return _say(HTTPStatus.NOT_FOUND, f"there is no {path} here")

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug("%s %s", self.address_string(), format % args)


def _listen(host: str, port: int, routes: dict[str, Route], token: str | None) -> _Server:
    try:
        server = _Server(host, port, routes, token)
    except PermissionError as error:
        raise ConfigurationError(
            f"port {port} on {host} may not be listened on; choose one above 1023, or 0"
        ) from error
    except (OSError, OverflowError) as error:
        raise RetryableError(
            f"port {port} on {host} cannot be listened on ({error}); end what listens there, or "
            "choose 0 to take a free port"
        ) from error
    threading.Thread(
        target=server.serve_forever,
        kwargs={"poll_interval": 0.05},
        name=f"http-{port}",
        daemon=True,
    ).start()
    return server


def _shut(server: _Server) -> None:
    server.shutdown()
    server.server_close()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
