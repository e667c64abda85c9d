"""The image files agree with pyproject, with each other, and with what may enter the build."""

import fnmatch
import re
import shlex
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "trainer_images"
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(path: Path) -> dict[str, str]:
    """Exact versions of a pin file, by canonical name."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text:
            requirement = Requirement(text)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", f"{path.name}: {text} is no pin"
            found[canonicalize_name(requirement.name)] = specifier.version
    return found


def closure(roots: list[str]) -> dict[str, Requirement]:
    """Every package that the roots need on this platform, by name, with the last demand on it."""
    todo = [Requirement(root) for root in roots]
    found: dict[str, Requirement] = {}
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        is_known = name in found
        found[name] = requirement
        if is_known:
            continue
        for text in requires(name) or []:
            needed = Requirement(text)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                todo.append(needed)
    return found


def instructions(dockerfile: Path) -> list[list[str]]:
    """The words of each instruction, continuation lines joined, comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [line.split() for line in joined.splitlines() if line.strip()]


def copied_from_context(dockerfile: Path) -> list[str]:
    words = [w for w in instructions(dockerfile) if w[0] == "COPY" and "--from" not in w[1]]
    return [source for copy in words for source in copy[1:-1]]


def test_the_operators_pins_are_what_its_dependencies_need() -> None:
    roots = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["operator"]
    needed, pinned = closure(roots), pins(IMAGES / "operator" / "requirements.txt")
    assert set(pinned) == set(needed)
    for name, requirement in needed.items():
        assert requirement.specifier.contains(pinned[name]), f"{name}: {requirement}"


def test_the_operator_image_has_neither_torch_nor_ray() -> None:
    pinned = pins(IMAGES / "operator" / "requirements.txt")
    assert {"torch", "ray", "vllm", "deepspeed"}.isdisjoint(pinned)


def test_the_cuda_image_holds_the_tested_versions() -> None:
    listed = {}
    for line in (IMAGES / "trainer" / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            listed[canonicalize_name(requirement.name)] = str(requirement.specifier)
    extras = PROJECT["optional-dependencies"]
    for text in PROJECT["dependencies"] + extras["train"] + extras["gpu"]:
        wanted = Requirement(text)
        version = listed[canonicalize_name(wanted.name)].removeprefix("==")
        assert wanted.specifier.contains(version), f"{wanted.name} {version}, {wanted} is wanted"


def test_the_cuda_images_constraints_leave_torch_to_choose_its_libraries() -> None:
    held = pins(IMAGES / "trainer" / "constraints.txt")
    assert {"torch", "torchvision", "torchaudio"}.isdisjoint(held)
    assert len(held) > 150


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_begins_with_a_base_that_a_builder_may_replace(dockerfile: Path) -> None:
    first, second = instructions(dockerfile)[:2]
    assert first == ["ARG", "BASE_IMAGE=python:3.11-slim-bookworm"]
    assert second[:2] == ["FROM", "${BASE_IMAGE}"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_runs_as_a_user_with_a_name(dockerfile: Path) -> None:
    """A numeric user without a passwd entry breaks getpass.getuser()."""
    words = instructions(dockerfile)
    assert ["USER", "1000:1000"] in words
    assert any("useradd" in word for word in words), "no passwd entry is made"
    last_stage = max(index for index, word in enumerate(words) if word[0] == "FROM")
    assert words.index(["USER", "1000:1000"]) > last_stage


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_no_compiler_comes_along(dockerfile: Path) -> None:
    """Triton needs gcc on GPUs; nothing needs more at run time."""
    words = instructions(dockerfile)
    stages = [index for index, word in enumerate(words) if word[0] == "FROM"]
    final = [" ".join(word) for word in words[stages[-1] :]]
    assert not any("apt-get" in line for line in final)
    base = " ".join(" ".join(word) for word in words[: stages[1]])
    assert "g++" not in base


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_everything_copied_exists_and_enters_the_build(dockerfile: Path) -> None:
    allowed = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for source in copied_from_context(dockerfile):
        assert list(ROOT.glob(source)), f"{dockerfile}: {source} is not there"
        top = source.split("/")[0]
        assert any(fnmatch.fnmatch(top, pattern) for pattern in allowed), f"{source} is ignored"


def test_the_image_names_of_the_chart_are_those_that_make_builds() -> None:
    makefile = (ROOT / "Makefile").read_text()
    built = set(re.findall(r"\$\(PREFIX\)(rlhf-[a-z-]+):", makefile))
    values = (ROOT / "helm" / "rlhf-operator" / "values.yaml").read_text()
    named = set(re.findall(r"(?:image|repository): (rlhf-[a-z-]+)", values))
    assert built <= named
    assert named - built == {"rlhf-trainer"}, "the CUDA image is built by its own command"


def test_versions_agree() -> None:
    version = PROJECT["version"]
    chart = (ROOT / "helm" / "rlhf-operator" / "Chart.yaml").read_text()
    assert f'version: {version}\nappVersion: "{version}"' in chart
    assert f"VERSION := {version}" in (ROOT / "Makefile").read_text()
    values = (ROOT / "helm" / "rlhf-operator" / "values.yaml").read_text()
    assert set(re.findall(r"image: rlhf-trainer[a-z-]*:(\S+)", values)) == {version}


def test_shell_lines_of_the_images_parse() -> None:
    for dockerfile in DOCKERFILES:
        for words in instructions(dockerfile):
            if words[0] == "RUN":
                shlex.split(" ".join(words[1:]))
