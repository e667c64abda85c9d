"""What took a worker away, in one line that claims no more than is known."""

import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
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

from openrlhf_core.spec.exit_codes import (
    CollectiveTimeout,
    OutOfMemory,
    RetryableError,
    WorkerLost,
)

MEMORY_COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
)
"""Of a container's own control group, version 2 and version 1: each has a line `oom_kill N`."""
TOLD_OF = Path("/tmp/rlhf-memory-kills")
"""How many of them a probe has told of; lives and dies with the container."""
PROBE_SECONDS = 20.0

_ADDRESS = re.compile(r"^\s*ip: (\S+)$|\(IP: ([^,\s]+),", re.MULTILINE)
"""As a notice of death gives it, and as the memory monitor does."""
_GUESSES = re.compile(r"[.,]?\s*(Some common causes|There are some potential).*", re.DOTALL)
"""What Ray adds to every death that it has no reason for; the OOM killer is among the guesses."""


@dataclass(frozen=True)
class Loss:
    """What took a worker away: the error that says so, and the reason in one line."""

    kind: type[RetryableError]
    reason: str


def loss_of(error: BaseException) -> Loss:
    """Returns what Ray's error says of a lost worker."""
    if isinstance(error, OutOfMemoryError):
        return killed_by_ray(pod_of(str(error))[0])
    if isinstance(error, NodeDiedError):
        return Loss(WorkerLost, "its node is gone")
    if isinstance(error, (ActorDiedError, ActorUnavailableError)):
        return death_of(str(error))
    if isinstance(error, GetTimeoutError):
        return Loss(CollectiveTimeout, "no answer in time")
    return Loss(RetryableError, f"{type(error).__name__}: {first_line(error)}")


def death_of(notice: str) -> Loss:
    """Returns the cause that Ray's notice of an actor's death gives, or the kernel's count."""
    pod, kills = pod_of(notice)
    if "memory pressure" in notice:
        return killed_by_ray(pod)
    if kills:
        reason = f"out of memory (the kernel killed a process of pod {pod})"
        return Loss(OutOfMemory, reason)
    return Loss(WorkerLost, first_reason(notice))


def killed_by_ray(pod: str) -> Loss:
    """Returns what is said of a worker that Ray's memory monitor killed."""
    where = f" in pod {pod}" if pod else ""
    return Loss(OutOfMemory, f"out of memory (killed by Ray's memory monitor{where})")


def pod_of(notice: str) -> tuple[str, int]:
    """Returns what the pod answers that a notice gives the address of."""
    address = _ADDRESS.search(notice)
    return ("", 0) if address is None else ask_pod(address[1] or address[2])


def ask_pod(address: str) -> tuple[str, int]:
    """Returns what `probe_pod` says in the pod at `address`; nothing when nobody answers there."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    alive = [node for node in nodes if node["Alive"]]
    found = next((node for node in alive if node["NodeManagerAddress"] == address), None)
    if found is None:
        return "", 0
    there = NodeAffinitySchedulingStrategy(found["NodeID"], soft=False)
    probe = ray.remote(num_cpus=0, max_retries=0)(probe_pod).options(scheduling_strategy=there)
    try:
        name, kills = ray.get(probe.remote(), timeout=PROBE_SECONDS)
    except RayError:
        return "", 0
    return str(name), int(kills)


def probe_pod() -> tuple[str, int]:
    """Returns this pod's name and the kernel's new kills for memory in it; outside a pod nothing.

    A kill is new until it was told of: the kernel counts for as long as the container lives, and
    several attempts may run in one.
    """
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return "", 0
    kills = count_memory_kills(MEMORY_COUNTERS)
    told_of = int(TOLD_OF.read_text()) if TOLD_OF.is_file() else 0
    TOLD_OF.write_text(str(kills))
    return socket.gethostname(), kills - told_of


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
