"""Where Ray puts its files and starts its processes, and a Ray that does not start."""

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import ray

from openrlhf_core.orchestration.ray_runtime import (
    LONGEST_TEMPORARY,
    local_ray,
    make_temporary_directory,
    starting_workers_in,
)
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError


def test_a_ray_that_does_not_start_in_time_may_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_slow(**_: Any) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", too_slow)
    expected = pytest.raises(RetryableError, match="did not start on this machine")
    with expected, local_ray({}, num_cpus=1, num_gpus=0):
        pass


def test_temporary_files_go_to_tmpdir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    short = Path("/var/tmp")
    made = Path(make_temporary_directory(str(short)))
    assert made.parent == short
    made.rmdir()


def test_without_tmpdir_the_first_directory_that_can_be_written_is_taken() -> None:
    made = Path(make_temporary_directory(None, ("/proc", "/nowhere", "/tmp")))
    assert made.parent == Path("/tmp")
    made.rmdir()


@pytest.mark.parametrize(
    ("tmpdir", "words"),
    [
        ("/proc", r"/proc: .*set TMPDIR"),
        ("/nowhere", "/nowhere: No such file or directory"),
        ("/" + "x" * LONGEST_TEMPORARY, f"more than {LONGEST_TEMPORARY} characters"),
    ],
)
def test_a_tmpdir_that_does_not_do_is_an_error_of_the_configuration(
    tmpdir: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make_temporary_directory(tmpdir)


def test_ray_starts_away_from_the_users_directory_and_deaf_to_a_hangup(tmp_path: Path) -> None:
    before = Path.cwd()
    with starting_workers_in(str(tmp_path)):
        assert Path.cwd() == tmp_path
        inherited = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert {signal.SIGHUP, signal.SIGUSR1} <= inherited
        assert signal.SIGTERM not in inherited
    assert Path.cwd() == before
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_hangup_that_came_meanwhile_is_not_lost(tmp_path: Path) -> None:
    heard: list[int] = []
    previous = signal.signal(signal.SIGHUP, lambda number, frame: heard.append(number))
    try:
        with starting_workers_in(str(tmp_path)):
            signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
            assert not heard
        assert heard == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, previous)
