"""Real faults while a checkpoint is committed: SIGKILL at every durable step, a full disk."""

import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from openrlhf_core.checkpoint import CheckpointStore
from openrlhf_core.checkpoint_manifest import RunState
from openrlhf_core.spec.exit_codes import RetryableError, RunError

FORK = multiprocessing.get_context("fork")


def make_state(step: int) -> RunState:
    return RunState(
        data_cursor=16 * step,
        policy_version=step,
        seed=42,
        spec_hash="ab12",
        dataset_fingerprint="cd34",
        world_size=1,
        versions={},
    )


def commit(store: CheckpointStore, step: int, size: int = 4000) -> None:
    staged = store.stage(step)
    (staged / "weights.bin").write_bytes(bytes([step % 256]) * size)
    store.commit(staged, step, make_state(step))


def newest_step(output: Path) -> int:
    """Step of the newest checkpoint, 0 without one; its files are those of its step."""
    checkpoint = CheckpointStore(output, keep=2).newest()
    if checkpoint is None:
        return 0
    assert checkpoint.state == make_state(checkpoint.step)
    assert set((checkpoint.directory / "weights.bin").read_bytes()) == {checkpoint.step % 256}
    return checkpoint.step


class Fuse:
    """Kills this process at the n-th durable step; counts them when n is never reached."""

    def __init__(self, burns_at: int) -> None:
        self.left = burns_at
        self.passed: list[str] = []

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def commit_three(output: Path, burns_at: int) -> list[str]:
    fuse = Fuse(burns_at)
    store = CheckpointStore(output, keep=1, failpoint=fuse)
    for step in (1, 2, 3):
        commit(store, step)
    return fuse.passed


def run_child(target: Callable[..., object], *arguments: object) -> int | None:
    child = FORK.Process(target=target, args=arguments)
    child.start()
    child.join(60)
    return child.exitcode


def test_a_kill_at_any_durable_step_loses_no_committed_checkpoint(tmp_path: Path) -> None:
    passed = commit_three(tmp_path / "whole", burns_at=0)
    assert len(passed) >= 3 * 7
    for number, name in enumerate(passed, start=1):
        output = tmp_path / f"killed-{number}"
        assert run_child(commit_three, output, number) == -signal.SIGKILL
        begun = passed[:number].count("staged")
        is_renamed = passed[:number].count("renamed") == begun
        assert newest_step(output) == (begun if is_renamed else begun - 1), (number, name)
        commit(CheckpointStore(output, keep=1), 4)
        assert [path.name for path in (output / "checkpoints").iterdir()] == ["step-00000004"]


def commit_for_ever(output: Path, connection: Connection) -> None:
    store = CheckpointStore(output, keep=2)
    step = newest_step(output)
    while True:
        step += 1
        commit(store, step, size=200_000)
        connection.send(step)


def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    clock = random.Random(3)
    acknowledged = 0
    for _ in range(40):
        ours, theirs = FORK.Pipe(duplex=False)
        child = FORK.Process(target=commit_for_ever, args=(tmp_path, theirs))
        child.start()
        theirs.close()
        time.sleep(clock.uniform(0.0, 0.1))
        child.kill()
        child.join(60)
        while ours.poll():
            try:
                acknowledged = ours.recv()
            except EOFError:
                break
        ours.close()
        assert newest_step(tmp_path) in (acknowledged, acknowledged + 1)
        acknowledged = newest_step(tmp_path)
    assert acknowledged > 20


def write_rank(staged: Path, rank: int) -> None:
    (staged / f"rank-{rank}").mkdir()
    (staged / f"rank-{rank}" / "state.pt").write_bytes(bytes([rank]) * 5000)


def test_files_of_other_processes_are_committed(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    staged = store.stage(1)
    assert [run_child(write_rank, staged, rank) for rank in range(2)] == [0, 0]
    store.commit(staged, 1, make_state(1))
    found = CheckpointStore(tmp_path, keep=2).newest()
    assert found is not None
    assert (found.directory / "rank-1" / "state.pt").read_bytes() == b"\1" * 5000


def commit_with_limit(output: Path, connection: Connection) -> None:
    """The manifest of many files is larger than the limit; the files are not."""
    store = CheckpointStore(output, keep=2)
    staged = store.stage(2)
    for number in range(100):
        (staged / f"{number}.bin").write_bytes(b"x")
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        store.commit(staged, 2, make_state(2))
    except RunError as error:
        connection.send((error.exit_code, str(error)))


def test_a_file_size_limit_is_a_clear_error_and_the_checkpoint_before_stays(
    tmp_path: Path,
) -> None:
    commit(CheckpointStore(tmp_path, keep=2), 1)
    ours, theirs = FORK.Pipe(duplex=False)
    assert run_child(commit_with_limit, tmp_path, theirs) == 0
    exit_code, message = ours.recv()
    assert exit_code == RetryableError.exit_code
    assert "manifest.json" in message and "ulimit -f" in message
    assert newest_step(tmp_path) == 1
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]


FILL_THE_DISK = textwrap.dedent("""
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from test_faults_checkpoint import commit, make_state, newest_step
    from openrlhf_core.checkpoint import CheckpointStore
    from openrlhf_core.spec.exit_codes import RunError

    output = Path(sys.argv[1])
    store = CheckpointStore(output, keep=2)
    commit(store, 1, size=4096)
    staged = store.stage(2)
    (staged / "weights.bin").write_bytes(b"x" * 4096)
    (output / "ballast").write_bytes(b"")
    with (output / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"x" * 4096)
        except OSError:
            pass
    try:
        store.commit(staged, 2, make_state(2))
    except RunError as error:
        print(error)
    print("newest", newest_step(output))
    (output / "ballast").unlink()
    commit(store, 2)
    print("newest", newest_step(output))
""")


def mount_command() -> list[str]:
    """The start of a command line that may mount a tmpfs for one program, and only for it."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    attempt = [unshare, "--map-root-user", "--mount"]
    tried = subprocess.run([*attempt, "true"], capture_output=True, check=False)
    return attempt if tried.returncode == 0 else []


def test_a_full_disk_is_a_clear_error_and_the_checkpoint_before_stays(tmp_path: Path) -> None:
    if not mount_command():
        pytest.skip("this machine lets us mount no small tmpfs (unshare --map-root-user --mount)")
    mount = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"'
    fill = [sys.executable, "-c", FILL_THE_DISK, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(
        [*mount_command(), "sh", "-c", mount, str(tmp_path), *fill],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    error, after, fixed = done.stdout.splitlines()
    assert "the disk is full (0 bytes free)" in error and "step-00000002" in error
    assert (after, fixed) == ("newest 1", "newest 2")
