"""A real pip in a real environment: what an interrupted installation left is repaired."""

import sys
import zipfile
from pathlib import Path

import pytest

from child_process import CommandFailed
from environment_state import installed, missing_pins, remove_torn
from install_cpu import Target, create_environment, install_torch, pip_install

PINS = {"alpha": "1.0", "beta": "2.0"}


def make_wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """A wheel of one module that says its version."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("machine")
    target = Target(venv=folder / "venv", project=folder)
    create_environment(target, sys.executable)
    return target


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all the index that pip knows."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    make_wheel(tmp_path, "alpha", "1.0", "Requires-Dist: a-cuda-build\n")
    make_wheel(tmp_path, "beta", "2.0")
    return tmp_path


def test_pins_are_installed_without_what_they_ask_for(target: Target, wheels: Path) -> None:
    pip_install(target, PINS)
    found = installed(target.site_packages)
    assert missing_pins(PINS, found) == {}
    assert "a-cuda-build" not in found


def test_a_package_torn_by_a_kill_is_installed_again(target: Target, wheels: Path) -> None:
    pip_install(target, PINS)
    record = target.site_packages / "beta-2.0.dist-info" / "RECORD"
    record.write_text("beta.py,,\n")
    (target.site_packages / "beta.py").write_text("VERS")
    assert remove_torn(target.site_packages) == ["beta-2.0.dist-info"]
    missing = missing_pins(PINS, installed(target.site_packages))
    assert missing == {"beta": "2.0"}
    pip_install(target, missing)
    assert (target.site_packages / "beta.py").read_text() == "VERSION = '2.0'\n"
    assert missing_pins(PINS, installed(target.site_packages)) == {}


def test_an_environment_that_was_moved_is_made_anew(
    target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Target(venv=tmp_path / "first", project=tmp_path)
    create_environment(first, sys.executable)
    moved = Target(venv=first.venv.rename(tmp_path / "second"), project=tmp_path)
    create_environment(moved, sys.executable)
    assert f"Creating {moved.venv}" in capsys.readouterr().out
    assert str(moved.venv) in (moved.venv / "bin" / "pip").read_text()


def test_torch_is_looked_for_at_its_own_index_only_after_pips(
    target: Target, wheels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandFailed, match="pip failed"):
        install_torch(target, {"torch": "0.0.1+cpu"})
    assert "trying https://download.pytorch.org/whl/cpu" in capsys.readouterr().out
    log = (target.venv / "install.log").read_text()
    assert "--index-url https://download.pytorch.org/whl/cpu" in log


def test_a_pin_that_does_not_exist_is_an_error_that_names_it(target: Target, wheels: Path) -> None:
    with pytest.raises(CommandFailed, match=r"(?s)pip failed with code 1.*gamma==9.9"):
        pip_install(target, {"gamma": "9.9"})
