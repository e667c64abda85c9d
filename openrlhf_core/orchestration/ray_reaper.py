"""Ends every process of one Ray once the process that started it is gone, however it went.

Ray ends most of its processes itself, but two agents outlive a killed driver by a minute or more.
Run as a script, with the standard library only, by `ray_runtime.local_ray`: it waits until its
standard input closes, which the kernel sees to, then kills whoever holds a file open below the
Ray's own directory, and removes that.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

PATIENCE_SECONDS = 10.0
SCAN_SECONDS = 0.1
QUIET_SCANS = 3
"""A worker that was just being started shows up a moment later."""


def holds_file_below(process: Path, directory: str) -> bool:
    """Whether a process (a directory of /proc) has a file open below `directory`."""
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            if os.readlink(descriptor).startswith(directory):
                return True
    return False


def holders(directory: str) -> list[int]:
    """Returns the processes with a file open below `directory`, save this one and its parent."""
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    found = [int(path.name) for path in processes if holds_file_below(path, directory)]
    return [pid for pid in found if pid not in (os.getpid(), os.getppid())]


def reap(directory: Path) -> None:
    """Kills until nobody holds a file below `directory` any more, then removes it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    quiet = 0
    while quiet < QUIET_SCANS and time.monotonic() < deadline:
        pids = holders(f"{directory}/")
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        quiet = 0 if pids else quiet + 1
        time.sleep(SCAN_SECONDS)
    shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    reap(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
