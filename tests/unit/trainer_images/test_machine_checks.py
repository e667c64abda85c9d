"""The machine is judged before anything is downloaded, all at once, each with its fix."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from machine_checks import (
    NEEDED_BYTES,
    Interpreter,
    Machine,
    cpu_flags,
    find_interpreter,
    find_problems,
    inspect_interpreter,
    read_machine,
    report,
    torch_cuda,
)

GOOD_PYTHON = Interpreter(path="/usr/bin/python3.11", version=(3, 11, 7))
GOOD = Machine(interpreter=GOOD_PYTHON, venv="/repo/.venv")


def test_a_complete_machine_has_no_problem() -> None:
    assert find_problems(GOOD) == []


@pytest.mark.parametrize(
    ("machine", "what", "fix"),
    [
        (replace(GOOD, compiler=None), "C++ compiler", "sudo apt-get install g++"),
        (
            replace(GOOD, compiler=None, package_manager="dnf"),
            "C++ compiler",
            "sudo dnf install gcc-c++",
        ),
        (
            replace(GOOD, compiler=None, package_manager=None),
            "C++ compiler",
            "install g++ (Debian, Ubuntu) or gcc-c++ (Fedora, RHEL)",
        ),
        (
            replace(GOOD, interpreter=replace(GOOD_PYTHON, has_headers=False)),
            "Python.h",
            "python3.11-dev",
        ),
        (
            replace(GOOD, interpreter=replace(GOOD_PYTHON, has_venv=False)),
            "venv and ensurepip",
            "python3.11-venv",
        ),
        (
            replace(GOOD, interpreter=replace(GOOD_PYTHON, has_libnuma=False)),
            "libnuma.so.1",
            "sudo apt-get install libnuma1",
        ),
        (
            replace(GOOD, interpreter=replace(GOOD_PYTHON, version=(3, 13, 0))),
            "CPython 3.11 was not found; there is CPython 3.13.0 (/usr/bin/python3.11)",
            "PYTHON=/path/to/python3.11",
        ),
        (
            replace(GOOD, interpreter=replace(GOOD_PYTHON, implementation="PyPy")),
            "CPython 3.11 was not found; there is PyPy 3.11.7",
            "python3.11",
        ),
        (replace(GOOD, free_bytes=2**30), "1.0 GiB are free where /repo/.venv lies", "free"),
        (replace(GOOD, venv_python=(3, 12, 1)), "holds Python 3.12.1", "rm -rf /repo/.venv"),
        (replace(GOOD, venv_is_foreign=True), "/repo/.venv exists", "mv /repo/.venv"),
        (replace(GOOD, venv_torch_cuda="13.0"), "CUDA 13.0", "rm -rf /repo/.venv"),
        (replace(GOOD, cpu_flags=frozenset({"sse4_2"})), "AVX2", "processor"),
        (replace(GOOD, system="Darwin", architecture="arm64"), "Darwin on arm64", "container"),
    ],
)
def test_each_missing_thing_is_named_with_its_mend(machine: Machine, what: str, fix: str) -> None:
    (problem,) = find_problems(machine)
    assert what in problem.what
    assert fix in problem.fix


def test_all_problems_are_told_at_once() -> None:
    bare = replace(
        GOOD,
        compiler=None,
        free_bytes=0,
        interpreter=replace(GOOD_PYTHON, has_libnuma=False, has_headers=False, has_venv=False),
    )
    text = report(find_problems(bare))
    assert "5 thing(s) to fix" in text
    for word in ("g++", "libnuma1", "python3.11-dev", "python3.11-venv", "GiB"):
        assert word in text


def test_a_wrong_python_is_not_also_asked_for_its_headers() -> None:
    old = Interpreter("/usr/bin/python3", (3, 9, 2), has_headers=False, has_venv=False)
    assert len(find_problems(replace(GOOD, interpreter=old))) == 1


def test_space_is_not_asked_for_once_the_stack_is_there() -> None:
    assert find_problems(replace(GOOD, free_bytes=2**30, has_stack=True)) == []
    assert find_problems(replace(GOOD, free_bytes=NEEDED_BYTES)) == []


def test_this_python_is_inspected_outside_of_its_environment() -> None:
    found = inspect_interpreter(sys.executable)
    assert found is not None
    assert found.version == tuple(sys.version_info[:3])
    assert not found.path.startswith(sys.prefix) or sys.prefix == sys.base_prefix


def test_something_that_does_not_start_is_no_interpreter(tmp_path: Path) -> None:
    shim = tmp_path / "python3.11"
    shim.write_text("#!/bin/sh\necho 'no such version' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert inspect_interpreter(str(shim)) is None
    assert inspect_interpreter(str(tmp_path / "absent")) is None


def test_a_right_python_is_preferred_to_an_earlier_wrong_one(tmp_path: Path) -> None:
    other = tmp_path / "python3"
    answer = '{"path": "/other", "version": [3, 13, 0], "implementation": "CPython"}'
    other.write_text(f"#!/bin/sh\necho '{answer}'\n")
    other.chmod(0o755)
    assert find_interpreter([str(other), sys.executable]).version[:2] == (3, 11)
    assert find_interpreter([str(other)]).path == "/other"
    assert find_interpreter([]).implementation == "no Python"


@pytest.mark.parametrize(
    ("text", "cuda"),
    [
        ("cuda: Optional[str] = None\n", None),
        ("cuda: Optional[str] = '13.0'\n", "13.0"),
        ('__version__ = "2.13.0+cu130"\ncuda = "13.0"\nhip = None\n', "13.0"),
        ("", None),
    ],
)
def test_the_cuda_build_of_torch_is_read_from_its_version_file(text: str, cuda: str | None) -> None:
    assert torch_cuda(text) == cuda


def test_a_cuda_torch_in_the_environment_is_found_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages" / "torch"
    folder.mkdir(parents=True)
    (folder / "version.py").write_text("cuda: Optional[str] = '13.0'\n")
    machine = read_machine(tmp_path / ".venv")
    assert machine.venv_torch_cuda == "13.0"
    assert machine.has_stack
    assert machine.venv_is_foreign


def test_processor_features_are_read_from_cpuinfo() -> None:
    assert cpu_flags("model name\t: x\nflags\t\t: fpu avx2 sse\n\nflags\t: fpu\n") == {
        "fpu",
        "avx2",
        "sse",
    }
    assert cpu_flags("") == frozenset()


def test_the_installer_answers_a_machine_without_a_compiler_and_changes_nothing(
    tmp_path: Path,
) -> None:
    installer = Path(__file__).parents[3] / "trainer_images" / "install_cpu.py"
    answer = subprocess.run(
        [sys.executable, str(installer), "--venv", str(tmp_path / "venv")],
        env={**os.environ, "CXX": "no-such-compiler", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 2
    assert "C++ compiler" in answer.stdout
    assert "Traceback" not in answer.stdout + answer.stderr
    assert not (tmp_path / "venv").exists()
