"""Scenarios: the operator and a head lose sight of each other, and both are well."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import Bench, never_two_drivers
from following import Timeline, told
from lab_cluster import CheckFailed

BREAK_AT = 15
CUT_SECONDS = 20


def cut_off(bench: Bench, name: str) -> str:
    """The network between operator and head is cut for a while: said, and no verdict."""
    timeline = Timeline()
    bench.start(bench.job(name))
    bench.running(name, BREAK_AT, timeline)
    head = bench.cluster.get("pod", bench.pods(name, "head")[0]) or {}
    with never_two_drivers():
        with _no_route(_operator_process(), head["status"]["podIP"]):
            said = bench.says(name, "Running", "Unknown", "ClusterUnreachable", seconds=60)
            time.sleep(CUT_SECONDS)
        job = bench.completes(name, timeline)
    if job["status"]["attempt"]["number"] != 1 or job["status"].get("restarts"):
        raise CheckFailed("a cut of the network was taken for a loss")
    return f"{said[:120]}; {told(job, timeline, 'one attempt')}"


def _operator_process() -> int:
    """Process id of the operator on this machine: pods are visible from here."""
    found = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if b"\0rlhf_operator\0" in _command_line(entry)
    ]
    if not found:
        raise CheckFailed("no operator runs on this machine")
    return min(found)


def _command_line(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def _no_route(process: int, address: str) -> Iterator[None]:
    """From the pod of a process no packet reaches the address."""
    enter = ["nsenter", "--target", str(process), "--net", "ip", "route"]
    subprocess.run([*enter, "add", "blackhole", f"{address}/32"], check=True, timeout=20)
    try:
        yield
    finally:
        subprocess.run([*enter, "del", "blackhole", f"{address}/32"], check=True, timeout=20)
