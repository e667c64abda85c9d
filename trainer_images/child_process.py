"""Runs one command of the installation: it dies with us, asks nothing, and logs all it says."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
MISLEADING = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME", "PYTHONPATH")
"""Variables that would make pip or Python look past the environment."""


class CommandFailed(Exception):
    """A command ended with another code than 0; the message holds its last lines."""


def clean_environment(environment: dict[str, str], venv: Path) -> dict[str, str]:
    """`environment` with `venv` active, and without what would lead around it."""
    kept = {name: value for name, value in environment.items() if name not in MISLEADING}
    return {
        **kept,
        "VIRTUAL_ENV": str(venv),
        "PATH": f"{venv / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONUNBUFFERED": "1",
    }


def log_file(venv: Path) -> Path:
    """Where all output of the commands goes."""
    return venv / "install.log"


def die_with_parent() -> None:
    """Asks Linux to end this process when the installer dies, even by SIGKILL."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def run(
    what: str,
    command: list[str],
    venv: Path,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Runs `command` in the environment `venv`; each line it says goes to `on_line` and the log.

    Raises CommandFailed, which names `what` and the last lines, when it fails.
    """
    tail: deque[str] = deque(maxlen=15)
    log = log_file(venv)
    with log.open("a") as file:
        file.write("$ " + " ".join(command) + "\n")
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(dict(os.environ), venv),
            preexec_fn=die_with_parent,  # noqa: PLW1509 - this program has one thread
        )
        try:
            for raw in process.stdout or ():
                line = raw.decode(errors="replace").rstrip()
                tail.append(line)
                file.write(line + "\n")
                if on_line:
                    on_line(line)
            code = process.wait()
        finally:
            end(process)
    if code != 0:
        said = "\n".join(f"    {line}" for line in tail)
        raise CommandFailed(f"{what} failed with code {code}; all of it: {log}\n{said}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a command that still runs because we were interrupted; leaves nothing open."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()


def say(text: str) -> None:
    """Prints a line of progress at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
