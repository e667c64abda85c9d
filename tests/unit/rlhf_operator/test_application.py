"""The application as a whole: a start that fails leaves nothing open."""

import asyncio
import socket
from pathlib import Path

import pytest

from rlhf_operator.application import Application
from rlhf_operator.settings import Settings

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: x
contexts: [{name: x, context: {cluster: x, user: x}}]
clusters: [{name: x, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: x, user: {}}]
"""


def test_a_port_that_is_taken_is_said_and_everything_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        application = Application(Settings(metrics_port=port, health_port=0))
        with pytest.raises(OSError, match="address already in use"):
            asyncio.run(application.start())
