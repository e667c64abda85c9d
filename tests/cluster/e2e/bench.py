"""What every fault scenario stands on: a job to break, an undisturbed run to compare with."""

import copy
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from following import Timeline, brief, condition, describe, follow, has_ended, is_true, step_of
from lab_cluster import CheckFailed, LabCluster, Manifest, wait_for
from outcome import check_nothing_left, check_output, leftovers, metric_rows, output_directory

DRIVE = "openrlhf_core drive"
RUN_SECONDS = 420
COMPARED = ("reward/mean", "policy/loss", "policy/grad_norm", "response/length_mean")


@dataclass
class Bench:
    """The cluster, the job that is broken, and the rows of its undisturbed run."""

    cluster: LabCluster
    template: Manifest
    kept: Path
    """Where the undisturbed run's rows are kept."""

    def undisturbed(self) -> list[dict[str, Any]]:
        """Rows of the run that nothing disturbs; run once for each state of the code."""
        if self.kept.exists():
            rows = json.loads(self.kept.read_text())
            assert isinstance(rows, list)
            return rows
        name = self.start(self.job("undisturbed"))
        job = follow(self.cluster, name, 600, has_ended)
        if not is_true(job, "Complete"):
            raise CheckFailed(describe(job))
        rows = metric_rows(output_directory(self.cluster, job))
        self.kept.write_text(json.dumps(rows))
        self.clear(name)
        return rows

    def job(self, name: str, **spec: Any) -> Manifest:
        """A copy of the template; `spec` is joined into its spec, maps into maps."""
        job = copy.deepcopy(self.template)
        job["metadata"] = {"name": name}
        _join(job["spec"], spec)
        return job

    def start(self, job: Manifest) -> str:
        """Applies a job; its name."""
        self.cluster.apply(job)
        return str(job["metadata"]["name"])

    def running(self, name: str, step: int, timeline: Timeline | None = None) -> Manifest:
        """The job once its status shows that step."""
        job = follow(
            self.cluster,
            name,
            RUN_SECONDS,
            lambda seen: step_of(seen) >= step or has_ended(seen),
            timeline,
        )
        if has_ended(job):
            raise CheckFailed(f"{name} ended before it could be broken: {describe(job)}")
        return job

    def completes(self, name: str, timeline: Timeline | None = None) -> Manifest:
        """The job once Complete; its output is whole and its curve is the undisturbed one's."""
        job = follow(self.cluster, name, RUN_SECONDS, has_ended, timeline)
        if not is_true(job, "Complete"):
            raise CheckFailed(describe(job))
        check_output(self.cluster, job)
        rows = metric_rows(output_directory(self.cluster, job))
        compare(rows, self.undisturbed())
        return job

    def says(self, name: str, kind: str, status: str, *words: str, seconds: float = 180) -> str:
        """`Reason: message` of a condition once it stands so and holds all the words."""

        def stands(job: Manifest) -> bool:
            found = condition(job, kind)
            text = f"{found.get('reason')}: {found.get('message')}"
            return found.get("status") == status and all(word in text for word in words)

        job = follow(self.cluster, name, seconds, stands)
        found = condition(job, kind)
        return brief(f"{kind}={status} {found['reason']}: {found.get('message', '')}")

    def pods(self, name: str, node_type: str) -> list[str]:
        """Names of the job's pods of a kind: head or worker."""
        selector = f"openrlhf.io/job={name},ray.io/node-type={node_type}"
        return [pod["metadata"]["name"] for pod in self.cluster.listed("pods", selector=selector)]

    def gone(self, name: str, seconds: float = 120) -> float:
        """Deletes the job; seconds until nothing of it is left but the claim."""
        started = time.monotonic()
        self.cluster.kubectl("delete", "rlhfjob", name, "--wait=false")
        wait_for(
            f"deletion of {name}",
            seconds,
            lambda: self.cluster.get("rlhfjob", name) is None and not self._children(name),
        )
        return time.monotonic() - started

    def _children(self, name: str) -> list[str]:
        config = self.cluster.get("configmap", f"{name}-config")
        return leftovers(self.cluster, name) + ([f"{name}-config"] if config else [])

    def clear(self, name: str) -> None:
        """Removes what a scenario made, its claim included."""
        self.cluster.kubectl("delete", "rlhfjob", name, "--ignore-not-found", "--timeout=120s")
        for made in (f"pvc/{name}-output", f"configmap/code-{name}"):
            self.cluster.kubectl("delete", made, "--ignore-not-found")
        check_nothing_left(self.cluster, name)


def _join(into: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _join(into[key], value)
        else:
            into[key] = value


def compare(rows: list[dict[str, Any]], baseline: list[dict[str, Any]]) -> None:
    """CheckFailed at the first step whose compared metrics differ, in any bit."""
    if [row["step"] for row in rows] != [row["step"] for row in baseline]:
        raise CheckFailed(f"{len(rows)} rows, the undisturbed run has {len(baseline)}")
    for row, other in zip(rows, baseline, strict=True):
        for name in COMPARED:
            if row["metrics"].get(name) != other["metrics"].get(name):
                raise CheckFailed(
                    f"step {row['step']}: {name} is {row['metrics'].get(name)}, in the "
                    f"undisturbed run {other['metrics'].get(name)}"
                )


def driver_processes() -> dict[int, str]:
    """Command line of every driver on this machine, by process id: pods are visible from here.

    Left out are the shell that Ray wraps around the entry point and processes a driver forked.
    """
    found: dict[int, str] = {}
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        line = " ".join(word.decode(errors="replace") for word in words)
        if DRIVE in line and b"python" in words[0]:
            found[int(entry.name)] = line
            parents[int(entry.name)] = int(stat.rsplit(")", 1)[1].split()[1])
    return {pid: line for pid, line in found.items() if parents[pid] not in found}


def signal_driver(number: signal.Signals) -> None:
    """Sends a signal to the driver that runs; CheckFailed when there is not exactly one."""
    drivers = driver_processes()
    if len(drivers) != 1:
        raise CheckFailed(f"{len(drivers)} drivers run: {sorted(drivers.values())}")
    os.kill(next(iter(drivers)), number)


@contextmanager
def never_two_drivers() -> Iterator[None]:
    """CheckFailed at the end when two drivers were alive at the same moment in between."""
    seen: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.4):
            alive = driver_processes()
            if len(alive) > 1:
                seen.append("; ".join(alive.values()))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if seen:
        raise CheckFailed(f"two drivers at once: {seen[0]}")
