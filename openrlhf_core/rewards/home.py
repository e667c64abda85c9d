"""Makes a process the home of a user's reward code: its working directory and search path.

Only reward processes see the user's folders. Everywhere else a folder `vllm` or a file
statistics.py of the user's would replace a package.
"""

import contextlib
import os
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class RewardHome:
    """Where reward code lives. Made by the driver, read by the reward workers of one folder."""

    folder: str | None
    """The folder of the reward files; None for modules, which are installed."""
    working_directory: str
    """Where the user started the run."""


def enter_home(home: RewardHome) -> None:
    """Moves this process into the user's working directory and lets it find the user's modules."""
    with contextlib.suppress(OSError):  # on another node of a cluster it need not exist
        os.chdir(home.working_directory)
    sys.path[:] = search_path(sys.path, home)
    # A fresh interpreter of a process pool imports the main module again: Ray's, if it were this.
    sys.modules["__main__"] = ModuleType("__main__")


def search_path(entries: Sequence[str], home: RewardHome) -> list[str]:
    """Returns where modules are looked for, in order.

    First the standard library, which nobody means to replace; then the reward's own folder, so
    that `import utils` is its neighbour; then what was there; last the working directory.
    """
    library = [entry for entry in entries if _is_standard_library(entry)]
    others = [entry for entry in entries if entry not in library]
    own = [] if home.folder is None else [home.folder]
    return list(dict.fromkeys([*library, *own, *others, home.working_directory]))


def _is_standard_library(entry: str) -> bool:
    library = sysconfig.get_path("stdlib")
    dynamic = os.path.join(library, "lib-dynload")
    return entry in (library, dynamic) or (
        entry.endswith(".zip") and os.path.dirname(entry) == os.path.dirname(library)
    )
