"""A command of the installation dies with the installer, asks nothing, and logs all it says."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from child_process import CommandFailed, clean_environment, log_file, run

TRAINER_IMAGES = Path(__file__).parents[3] / "trainer_images"


def test_lines_reach_the_listener_and_the_log(tmp_path: Path) -> None:
    heard: list[str] = []
    run("Talking", [sys.executable, "-c", "print('one'); print('two')"], tmp_path, heard.append)
    assert heard == ["one", "two"]
    assert log_file(tmp_path).read_text().endswith("one\ntwo\n")


def test_a_failure_names_what_failed_its_code_and_its_last_lines(tmp_path: Path) -> None:
    program = "import sys; print('the cause', file=sys.stderr); sys.exit(3)"
    with pytest.raises(CommandFailed, match=r"(?s)Building failed with code 3.*the cause"):
        run("Building", [sys.executable, "-c", program], tmp_path)


def test_a_command_cannot_wait_for_an_answer(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="EOFError"):
        run("Asking", [sys.executable, "-c", "input('sure? ')"], tmp_path)


def test_the_environment_comes_first_and_nothing_leads_around_it() -> None:
    before = {"PATH": "/usr/bin", "PIP_USER": "1", "PYTHONPATH": "/elsewhere", "HOME": "/home/me"}
    after = clean_environment(before, Path("/repo/.venv"))
    assert after["PATH"] == "/repo/.venv/bin:/usr/bin"
    assert after["HOME"] == "/home/me"
    assert not {"PIP_USER", "PYTHONPATH"} & set(after)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def wait_until_gone(pid: int) -> bool:
    for _ in range(200):
        if not is_running(pid):
            return True
        time.sleep(0.05)
    return False


def test_a_command_does_not_outlive_an_installer_that_was_killed(tmp_path: Path) -> None:
    sleeper = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    installer = (
        f"import sys; sys.path.insert(0, {str(TRAINER_IMAGES)!r})\n"
        "from pathlib import Path\nfrom child_process import run, say\n"
        f"run('Sleeping', [sys.executable, '-c', {sleeper!r}], Path({str(tmp_path)!r}), say)\n"
    )
    with subprocess.Popen([sys.executable, "-c", installer], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        sleeper_pid = int(process.stdout.readline())
        assert is_running(sleeper_pid)
        process.send_signal(signal.SIGKILL)
    assert wait_until_gone(sleeper_pid)
