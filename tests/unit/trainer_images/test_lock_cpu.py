"""The pin files hold exactly what our dependencies reach, at the versions that lie here."""

import importlib.metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from environment_state import read_pins
from lock_cpu import closure, pin_file

REPOSITORY = Path(__file__).parents[3]


def test_dependencies_are_followed_and_pinned_as_installed() -> None:
    pins = closure(["pytest"])
    assert {"pytest", "pluggy", "iniconfig", "packaging"} <= set(pins)
    assert pins["pytest"] == importlib.metadata.version("pytest")


def test_an_extra_brings_its_own_dependencies() -> None:
    assert "mypy" not in closure(["typer"])
    assert set(closure(["ray"])) < set(closure(["ray[default]"]))


def test_what_is_left_out_is_not_followed() -> None:
    assert closure(["torchvision", "llama-cpp-python"]) == {}


def test_a_version_that_is_forbidden_or_absent_ends_the_program() -> None:
    with pytest.raises(SystemExit, match="pytest<1 is needed"):
        closure(["pytest<1"])
    with pytest.raises(SystemExit, match="not installed here"):
        closure(["no-such-distribution"])


def test_a_pin_file_reads_back_as_it_was_written() -> None:
    pins = {"b": "2", "a": "1+cpu"}
    assert read_pins(pin_file("Title.", pins)) == pins


def test_every_dependency_of_ours_is_pinned_within_its_bounds() -> None:
    pins: dict[str, str] = {}
    for name in ("requirements-cpu.txt", "requirements-dev.txt"):
        pins.update(read_pins((REPOSITORY / "trainer_images" / name).read_text()))
    requirements = map(Requirement, importlib.metadata.requires("rlhf-operator") or [])
    for requirement in requirements:
        if requirement.marker is None or 'extra == "gpu"' not in str(requirement.marker):
            pin = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(pin), f"{requirement} against {pin}"
