"""What took a worker away, in one line that claims no more than is known."""

import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    GetTimeoutError,
    NodeDiedError,
    OutOfMemoryError,
    RayError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

KILLED_BY_RAY = "out of memory (killed by Ray's memory monitor)"
MEMORY_COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
)
"""Of a container's own control group, version 2 and version 1: each has a line `oom_kill N`."""
PROBE_SECONDS = 20.0

_ADDRESS = re.compile(r"^\s*ip: (\S+)$", re.MULTILINE)
_GUESSES = re.compile(r"[.,]?\s*(Some common causes|There are some potential).*", re.DOTALL)
"""What Ray adds to every death that it has no reason for; the OOM killer is among the guesses."""


def describe_loss(error: BaseException) -> str:
    """Returns the cause of a lost worker in one line."""
    if isinstance(error, OutOfMemoryError):
        return KILLED_BY_RAY
    if isinstance(error, NodeDiedError):
        return "its node is gone"
    if isinstance(error, (ActorDiedError, ActorUnavailableError)):
        return describe_death(str(error))
    if isinstance(error, GetTimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {first_line(error)}"


def describe_death(notice: str) -> str:
    """Returns the cause that Ray's notice of an actor's death gives, or the kernel's count."""
    if "memory pressure" in notice:
        return KILLED_BY_RAY
    address = _ADDRESS.search(notice)
    victim = None if address is None else killed_for_memory(address[1])
    if victim is not None:
        return f"out of memory (the kernel killed a process of {victim})"
    return first_reason(notice)


def killed_for_memory(address: str) -> str | None:
    """Returns the name of the pod at `address` when the kernel killed something in it for memory.

    Asks a task in that pod; None also when nobody answers there.
    """
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    alive = [node for node in nodes if node["Alive"]]
    found = next((node for node in alive if node["NodeManagerAddress"] == address), None)
    if found is None:
        return None
    there = NodeAffinitySchedulingStrategy(found["NodeID"], soft=False)
    probe = ray.remote(num_cpus=0, max_retries=0)(probe_pod).options(scheduling_strategy=there)
    try:
        name, kills = ray.get(probe.remote(), timeout=PROBE_SECONDS)
    except RayError:
        return None
    return str(name) if kills else None


def probe_pod() -> tuple[str, int]:
    """Returns the name of this pod and the kernel's kills for memory in it; outside a pod 0."""
    is_pod = "KUBERNETES_SERVICE_HOST" in os.environ
    return socket.gethostname(), count_memory_kills(MEMORY_COUNTERS) if is_pod else 0


def count_memory_kills(counters: Sequence[Path]) -> int:
    """Returns N of the line `oom_kill N` in the first of the files that is there; else 0."""
    for counter in counters:
        if counter.is_file():
            found = re.findall(r"^oom_kill (\d+)$", counter.read_text(), re.MULTILINE)
            return sum(map(int, found))
    return 0


def first_reason(notice: str) -> str:
    """Returns the line of an actor's death notice that gives the reason, without Ray's guesses."""
    lines = [line.strip() for line in _GUESSES.sub("", notice).splitlines() if line.strip()]
    reasons = [line for line in lines if "exit" in line.lower() or "died" in line.lower()]
    return (reasons[-1] if reasons else lines[0] if lines else "it died")[:500]


def first_line(error: BaseException | None) -> str:
    """Returns the first line of what an error says."""
    return str(error).strip().partition("\n")[0][:500]
