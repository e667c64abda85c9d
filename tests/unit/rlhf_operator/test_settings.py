"""The command line and the log's format."""

import json
import logging
import sys

import pytest

from rlhf_operator.log_format import JsonFormatter
from rlhf_operator.settings import parse_settings


def test_every_namespace_is_watched_by_default() -> None:
    assert parse_settings([]).namespaces == ()
    assert parse_settings(["--namespace=a", "--all-namespaces"]).namespaces == ()


def test_flags_of_the_chart_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "rlhf-system")
    flags = "--namespace=a --namespace=b --default-runtime=cpu --log-level=debug --log-format=json"
    flags += " --concurrency=4 --resync-seconds=20 --metrics-port=1 --health-port=2"
    settings = parse_settings(flags.split())
    assert settings.namespaces == ("a", "b")
    assert (settings.default_runtime, settings.own_namespace) == ("cpu", "rlhf-system")
    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")
    assert (settings.concurrency, settings.resync_seconds) == (4, 20.0)
    assert (settings.metrics_port, settings.health_port) == (1, 2)


def test_a_wrong_flag_ends_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_settings(["--nonsense"])
    assert caught.value.code == 2
    assert "--default-runtime" in capsys.readouterr().err


def test_a_json_log_line_is_one_object() -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        record = logging.LogRecord("x", 30, "f", 1, "act=%s", ("Stop",), sys.exc_info())
    entry = json.loads(JsonFormatter().format(record))
    assert (entry["level"], entry["message"]) == ("WARNING", "act=Stop")
    assert "ValueError: boom" in entry["exception"]
