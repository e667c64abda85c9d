"""The command as a whole: how it ends, whatever happens inside."""

import importlib
import subprocess
import sys

import pytest
import typer

from openrlhf_core.cli.main import app, main
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError


@pytest.fixture
def with_command():
    """Adds a command of the test's own to `rlhf`, and takes it away again."""
    known = list(app.registered_commands)

    def add(function) -> None:
        app.command("probe")(function)

    yield add
    app.registered_commands[:] = known


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigurationError("the data is wrong"), 2, "the data is wrong\n"),
        (RetryableError("a worker is lost"), 10, "a worker is lost\n"),
        (KeyboardInterrupt(), 130, ""),
        (ValueError("a bug"), 1, "rlhf: unexpected ValueError: a bug (set RLHF_DEBUG=1"),
    ],
)
def test_an_error_ends_with_its_exit_code_and_no_traceback(rlhf, with_command, error, code, text):
    def probe() -> None:
        raise error

    with_command(probe)
    ended = rlhf("probe")
    assert ended.code == code
    assert ended.err.startswith(text)
    assert "Traceback" not in ended.err


def test_debugging_shows_where_an_unexpected_error_comes_from(with_command, monkeypatch):
    def probe() -> None:
        raise ValueError("a bug")

    with_command(probe)
    monkeypatch.setenv("RLHF_DEBUG", "1")
    with pytest.raises(ValueError, match="a bug"):
        main(["probe"])


def test_a_command_ends_with_the_code_that_it_returns(rlhf, with_command):
    def probe() -> None:
        raise typer.Exit(20)

    with_command(probe)
    assert rlhf("probe").code == 20


def test_without_a_command_the_help_is_printed(rlhf):
    assert "Usage: rlhf" in rlhf().out + rlhf().err


def test_other_packages_join_by_entry_point(rlhf, with_command, tmp_path, monkeypatch):
    package = tmp_path / "joining.py"
    package.write_text(
        "def register(app):\n"
        "    def probe() -> None:\n"
        "        print('joined')\n"
        "    app.command('probe')(probe)\n"
    )
    install(tmp_path, "joining", "joining:register")
    monkeypatch.syspath_prepend(tmp_path)
    ended = rlhf("probe")
    assert (ended.code, ended.out) == (0, "joined\n")


def test_commands_that_cannot_be_loaded_are_named_and_the_rest_works(
    rlhf, with_command, tmp_path, monkeypatch
):
    install(tmp_path, "broken", "no_such_module_at_all:register")
    monkeypatch.syspath_prepend(tmp_path)
    ended = rlhf("--help")
    assert ended.code == 0
    assert "the commands 'broken' are not available" in ended.err
    assert "validate" in ended.out


def test_our_own_commands_load_nobody_elses(rlhf, tmp_path, monkeypatch, base_manifest):
    install(tmp_path, "broken", "no_such_module_at_all:register")
    monkeypatch.syspath_prepend(tmp_path)
    assert rlhf("validate", base_manifest).err == ""


def install(folder, name: str, target: str) -> None:
    """Writes the metadata of an installed package with one entry point."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[rlhf.commands]\n{name} = {target}\n")
    importlib.invalidate_caches()


def test_a_reader_that_goes_away_is_no_error(base_manifest):
    command = f"{sys.executable} -m openrlhf_core validate {base_manifest} --format json | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
