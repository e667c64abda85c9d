"""CPU seconds of a process and everything it started, between two rows of its metrics file."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_SECONDS = 0.01
KINDS = (
    ("ray::RolloutActor", "engine"),
    ("ray::LearnerActor", "learner"),
    ("ray::RewardWorker", "reward workers"),
    ("ray::", "Ray daemons"),
    ("raylet", "Ray daemons"),
    ("gcs_server", "Ray daemons"),
)
"""Kinds of process by how their command line begins; the executable's folder is cut off."""


@dataclass(frozen=True)
class Launch:
    """A command that writes a row a step."""

    command: Sequence[str]
    environment: Mapping[str, str]
    rows: Path
    log: Path
    """What it prints."""
    timeout_seconds: float


@dataclass(frozen=True)
class Snapshot:
    """A moment of a process tree. Times in seconds; CPU since each process began."""

    wall: float
    cpu: Mapping[str, float]
    """By kind, user and system, of living processes and of those they have waited for."""


@dataclass(frozen=True)
class Interval:
    """What a process tree used between two rows."""

    wall_seconds: float
    cpu_seconds: Mapping[str, float]
    """By kind of process."""
    load: float
    """Load average of the last minute, at the end."""

    @property
    def total_cpu(self) -> float:
        return sum(self.cpu_seconds.values())


def kind_of(command: Sequence[str], is_root: bool) -> str:
    """What a process is for, from its command line.

    >>> kind_of(["ray::LearnerActor.update"], False)
    'learner'
    """
    if is_root:
        return "driver"
    first = os.path.basename(command[0]) if command and "::" not in command[0] else "".join(command)
    for beginning, kind in KINDS:
        if first.startswith(beginning):
            return kind
    return "Ray daemons" if any("/ray/" in part for part in command) else "other"


def snapshot(root: psutil.Process) -> Snapshot:
    """The CPU time of `root` and all below it, now."""
    cpu: Counter[str] = Counter()
    wall = time.monotonic()
    for process in [root, *root.children(recursive=True)]:
        try:
            times = process.cpu_times()
            kind = kind_of(process.cmdline(), process.pid == root.pid)
        except psutil.NoSuchProcess:
            continue
        cpu[kind] += times.user + times.system + times.children_user + times.children_system
    return Snapshot(wall, dict(cpu))


def between(start: Snapshot, end: Snapshot) -> Interval:
    """What was used from one snapshot to the next."""
    kinds = sorted(end.cpu.keys() | start.cpu.keys())
    used = {kind: end.cpu.get(kind, 0.0) - start.cpu.get(kind, 0.0) for kind in kinds}
    return Interval(end.wall - start.wall, used, os.getloadavg()[0])


def measure(run: Launch, first: int, last: int) -> Interval:
    """Runs it and measures from the row of step `first` to that of step `last`.

    Raises RuntimeError when it fails or is not done in time.
    """
    deadline = time.monotonic() + run.timeout_seconds
    with run.log.open("w") as out:
        child = subprocess.Popen(
            run.command,
            env=dict(run.environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        marks = [wait_for_row(run, child, step, deadline) for step in (first, last)]
        if child.wait(timeout=max(deadline - time.monotonic(), 1.0)) != 0:
            raise RuntimeError(f"{run.command[0]} ended with {child.returncode}: see {run.log}")
        return between(*marks)
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait(timeout=60)


def wait_for_row(
    run: Launch, child: "subprocess.Popen[bytes]", step: int, deadline: float
) -> Snapshot:
    """Returns a snapshot of the moment when the file has `step` rows."""
    root = psutil.Process(child.pid)
    while count_rows(run.rows) < step:
        if child.poll() is not None:
            raise RuntimeError(f"the run ended before step {step}: see {run.log}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"step {step} did not come in time: see {run.log}")
        time.sleep(POLL_SECONDS)
    return snapshot(root)


def count_rows(rows: Path) -> int:
    try:
        return rows.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0
