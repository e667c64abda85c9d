"""What is where: one distribution, one version, and a folder `operator` that shadows nothing."""

import importlib
import operator
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import openrlhf_core
import rlhf_operator

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
PACKAGES = {
    "openrlhf_core": REPOSITORY / "openrlhf_core",
    "rlhf_operator": REPOSITORY / "operator" / "rlhf_operator",
}


def test_the_standard_library_keeps_its_operator() -> None:
    assert not (REPOSITORY / "operator" / "__init__.py").exists()
    assert operator.itemgetter(1)("ab") == "b"
    program = "import operator; print(operator.__file__)"
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert not answer.stdout.startswith(str(REPOSITORY / "operator"))


def test_every_place_names_the_same_version() -> None:
    assert openrlhf_core.__version__ == rlhf_operator.__version__ == PROJECT["version"]


def test_extras_promise_the_tested_set() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {"operator", "train", "gpu", "tensorboard", "wandb", "dev"} <= set(extras)
    pins = {pin for pin in extras["train"] + extras["gpu"] if "==" in pin}
    assert pins == {
        "torch==2.13.0",
        "vllm==0.32.0",
        "deepspeed==0.19.8",
        "ray[default]==2.60.0",
        "transformers==5.19.0",
    }


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in the wheel, built from a copy so that nothing stale gets in."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    for name in ("openrlhf_core", "operator"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, source / name, ignore=ignore)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--wheel-dir", str(source / "dist"), "."]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = (source / "dist").glob("rlhf_operator-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        entry_points = next(name for name in archive.namelist() if "entry_points" in name)
        assert "rlhf = openrlhf_core.cli.main:main" in archive.read(entry_points).decode()
        return set(archive.namelist())


@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_holds_every_file_of_a_package(package: str, wheel_files: set[str]) -> None:
    folder = PACKAGES[package]
    ours = {
        f"{package}/{path.relative_to(folder)}"
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours - wheel_files == set()


def test_the_wheel_holds_nothing_but_the_packages(wheel_files: set[str]) -> None:
    roots = {name.split("/")[0].split("-")[0] for name in wheel_files}
    assert roots == {"openrlhf_core", "rlhf_operator"}


@pytest.mark.parametrize("entry", PROJECT["scripts"].values())
def test_every_command_leads_to_a_function(entry: str) -> None:
    module, _, function = entry.partition(":")
    assert callable(getattr(importlib.import_module(module), function))
