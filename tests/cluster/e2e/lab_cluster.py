"""The test cluster with a real node, as the end-to-end runs use it: kubectl, helm, images."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]

REGISTRY = "registry.lab"
SYSTEM_NAMESPACE = "rlhf-system"


class CheckFailed(AssertionError):
    """An end-to-end check that did not hold; the message says what was seen."""


@dataclass(frozen=True)
class LabCluster:
    """A running cluster of profile `node`."""

    lab: str
    environment: dict[str, str]

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Standard output of kubectl. CheckFailed with its words when it fails."""
        return self._run(["kubectl", *arguments], stdin=stdin, check=check)

    def helm(self, *arguments: str, stdin: str | None = None) -> str:
        """Standard output of helm."""
        return self._run(["helm", *arguments], stdin=stdin, timeout=300)

    def verb(self, *arguments: str, timeout: float = 120) -> str:
        """A verb of the test cluster itself, as `kill kuberay`."""
        return self._run([self.lab, *arguments], timeout=timeout)

    def rlhf(self, *arguments: str, check: bool = True) -> str:
        """Our own command, against this cluster."""
        return self._run(["rlhf", *arguments], check=check)

    def get(self, kind: str, name: str, namespace: str = "default") -> Manifest | None:
        """The object, or None where it is not."""
        found = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(found) if found.strip() else None

    def listed(self, kind: str, namespace: str = "default", selector: str = "") -> list[Manifest]:
        """Objects of a kind."""
        options = ["-l", selector] if selector else []
        text = self.kubectl("get", kind, "-n", namespace, "-o", "json", *options)
        items = json.loads(text)["items"]
        assert isinstance(items, list)
        return items

    def apply(self, manifest: Manifest, namespace: str = "default") -> None:
        """Creates or changes an object, as a person's `kubectl apply` does."""
        self.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(manifest))

    def build_and_push(self, image: str, dockerfile: str, context: Path) -> None:
        """Builds an image and puts it where the node pulls from."""
        self.verb("image", "build", image, "-f", dockerfile, str(context), timeout=1500)
        self.verb("image", "push", image, timeout=600)

    def _run(
        self,
        command: list[str],
        *,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 120,
    ) -> str:
        done = subprocess.run(
            command,
            input=stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise CheckFailed(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout + ("" if check else done.stderr)


@contextmanager
def lab_cluster(lab: str, *, keep: bool = False) -> Iterator[LabCluster]:
    """The cluster, started when it is not up; taken down at the end unless it is to be kept."""
    command = [lab, "up", "--profile", "node"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    exports = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    path = f"{Path(sys.executable).parent}:{exports['PATH']}"
    try:
        yield LabCluster(lab, {**os.environ, **exports, "PATH": path})
    finally:
        if not keep:
            subprocess.run([lab, "down"], check=True, timeout=120)


def wait_for(what: str, seconds: float, ready: Callable[[], bool], pause: float = 0.5) -> None:
    """Returns when `ready` says so; CheckFailed naming `what` when that takes too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise CheckFailed(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)
