"""Runs `rlhf run` as a person does: a process of its own, watched through the files it leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

EXAMPLES = Path(__file__).parent.parent / "examples"
QUICKSTART = EXAMPLES / "quickstart-grpo.yaml"
SMALL = ("rl.rolloutBatchSize=4", "rl.groupSize=4", "checkpoint.everySteps=2")
"""Overrides that make a step of the quickstart small."""
LONG = (*SMALL, "maxSteps=40")
"""The settings of a run that is long enough to be ended many times."""
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    exit_code: int
    text: str


@dataclass(frozen=True)
class Trained:
    """An example after its run."""

    output: Path
    text: str
    """What the command printed."""


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody ended, beside another Ray, and what that Ray saw of it."""

    output: Path
    finished: Finished
    seen: subprocess.CompletedProcess[str]


def command(manifest: Path, output: Path, overrides: Sequence[str]) -> list[str]:
    settings = [part for override in overrides for part in ("--set", override)]
    program = [sys.executable, "-m", "openrlhf_core", "run", str(manifest)]
    return [*program, "--output", str(output), *settings]


REFUSE_EACH = """
import json, os, sys
from openrlhf_core.garbage_collection import collector_paused
with collector_paused():
    from openrlhf_core import driver
    from openrlhf_core.cli.main import main
for log, arguments in json.load(sys.stdin):
    child = os.fork()
    if not child:
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, 1)
        os.dup2(target, 2)
        code = main(arguments)
        sys.stdout.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code, flush=True)
"""
"""Imports torch and transformers once and forks a command from there for each case."""


def run_each(directory: Path, cases: Mapping[str, Sequence[str]]) -> dict[str, Finished]:
    """Runs the quickstart with each list of overrides; for runs that end before Ray starts.

    The commands are forks of one process, as most of the time of such a run are its imports.
    """
    logs = {name: directory / f"{number}.log" for number, name in enumerate(cases)}
    jobs = [
        (str(logs[name]), command(QUICKSTART, directory / f"{number}.out", overrides)[3:])
        for number, (name, overrides) in enumerate(cases.items())
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REFUSE_EACH],
        input=json.dumps(jobs),
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    codes = map(int, done.stdout.split())
    return {
        name: Finished(code, logs[name].read_text())
        for name, code in zip(cases, codes, strict=True)
    }


def run(output: Path, *overrides: str, manifest: Path = QUICKSTART) -> Finished:
    """Runs to the end."""
    done = subprocess.run(
        command(manifest, output, overrides),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Finished(done.returncode, done.stdout)


class Running:
    """A run that goes on in the background."""

    def __init__(self, output: Path, *overrides: str, manifest: Path = QUICKSTART) -> None:
        self.output = output
        self.process = subprocess.Popen(
            command(manifest, output, overrides),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._printed: list[str] = []

    def wait_for_step(self, step: int) -> None:
        """Returns once the row of a step is written."""
        self._wait(lambda: bool(rows := read_rows(self.output)) and rows[-1]["step"] >= step)

    def wait_for_text(self, text: str) -> None:
        """Returns once the command has printed a text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._printed.append(line)
            if text in line:
                return
        raise AssertionError(f"ended with {self.process.wait()} before it printed {text!r}")

    def interrupt(self) -> None:
        """What Ctrl-C does: SIGINT to every process of the terminal's foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """Ends the command, and it alone, with SIGKILL."""
        self.process.kill()

    def kill_worker(self, actor: str) -> None:
        """Ends the one process of a Ray actor class with SIGKILL."""
        (victim,) = [
            child for child in self.descendants() if f"ray::{actor}" in " ".join(child.cmdline())
        ]
        victim.kill()

    def descendants(self) -> list[psutil.Process]:
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> Finished:
        """Waits for the end."""
        text, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        return Finished(self.process.returncode, "".join(self._printed) + text)

    def _wait(self, is_there: Any) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_there():
            if self.process.poll() is not None:
                text = self.process.communicate()[0]
                raise AssertionError(f"ended with {self.process.returncode} too soon:\n{text}")
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.02)


def read_rows(output: Path) -> list[dict[str, Any]]:
    """Whole rows of metrics.jsonl."""
    path = output / "metrics.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(True) if line.endswith("\n")]


def curve(output: Path) -> list[dict[str, float]]:
    """The metrics of each step without those that time decides."""
    return [
        {
            name: value
            for name, value in row["metrics"].items()
            if not name.startswith("time/") and "per_second" not in name
        }
        for row in read_rows(output)
    ]


def summary(output: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((output / "summary.json").read_text())
    return found


def model_bytes(output: Path) -> bytes:
    return (output / "model" / "model.safetensors").read_bytes()


def still_alive(processes: Sequence[psutil.Process], seconds: float = 10.0) -> list[str]:
    """Names of those that have not ended after so many seconds."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return [
        " ".join(process.cmdline()[:3])
        for process in alive
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]
