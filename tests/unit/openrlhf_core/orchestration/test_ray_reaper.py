"""The reaper ends who holds files below a directory, once its own standard input closes."""

import subprocess
import sys
import time
from pathlib import Path

from openrlhf_core.orchestration import ray_reaper
from openrlhf_core.orchestration.ray_runtime import reaper

SLEEPER = "import sys, time; file = open(sys.argv[1], 'w'); print('up', flush=True); time.sleep(60)"


def start_sleeper(file: Path) -> subprocess.Popen[str]:
    """A process that holds `file` open."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(file)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_holders_are_found_by_their_open_files(tmp_path: Path) -> None:
    with start_sleeper(tmp_path / "log") as sleeper:
        assert ray_reaper.holders(f"{tmp_path}/") == [sleeper.pid]
        assert ray_reaper.holders(f"{tmp_path}/elsewhere/") == []
        sleeper.kill()


def test_the_end_of_the_block_ends_the_holders_and_nobody_else(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "mine-too"
    mine.mkdir()
    other.mkdir()
    with start_sleeper(other / "log") as bystander:
        with (mine / "of this process").open("w"), reaper(str(mine)):
            sleeper = start_sleeper(mine / "log")
        assert sleeper.wait(timeout=5) == -9
        assert bystander.poll() is None
        bystander.kill()
    assert not mine.exists()
    assert sleeper.stdout is not None
    sleeper.stdout.close()


def test_a_killed_owner_is_noticed(tmp_path: Path) -> None:
    directory = tmp_path / "ray"
    directory.mkdir()
    program = (
        "import time; from openrlhf_core.orchestration.ray_runtime import reaper\n"
        f"with reaper({str(directory)!r}):\n    print('up', flush=True); time.sleep(60)"
    )
    with start_sleeper(directory / "log") as sleeper:
        owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        owner.kill()
        owner.communicate()
        assert sleeper.wait(timeout=10) == -9
    deadline = time.monotonic() + 10
    while directory.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not directory.exists()
