"""`rlhf validate`."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def test_a_sound_file_is_named_and_the_exit_code_is_0(rlhf, base_manifest):
    ended = rlhf("validate", base_manifest)
    assert (ended.code, ended.out) == (0, f"{base_manifest}: valid (RLHFJob demo)\n")


def test_every_problem_is_one_line_and_the_exit_code_is_2(rlhf, base_manifest, tmp_path):
    bad = tmp_path / "bad.yaml"
    text = base_manifest.read_text().replace("name: demo", "name: Demo", 1)
    bad.write_text(text.replace("maxSteps: 20", "maxSteps: '20'").replace("keep: 3", "kep: 3"))
    ended = rlhf("validate", base_manifest, bad)
    lines = ended.out.splitlines()
    assert ended.code == 2
    assert [line.split(": ")[1] for line in lines[:3]] == [
        "metadata.name",
        "spec.training.checkpoint.kep",
        "spec.training.maxSteps",
    ]
    assert (
        lines[1]
        == f"{bad}:39: spec.training.checkpoint.kep: is not a field here; did you mean keep?"
    )
    assert lines[3] == f"{base_manifest}: valid (RLHFJob demo)"


def test_json_lists_the_same(rlhf, base_manifest, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text(base_manifest.read_text().replace("seed: 1", "seed: -1"))
    ended = rlhf("validate", bad, "--format", "json")
    assert ended.code == 2
    assert json.loads(ended.out) == [
        {
            "file": str(bad),
            "line": 41,
            "field": "spec.training.seed",
            "message": "is -1",
            "fix": "take a number of at least 0",
        }
    ]
    assert json.loads(rlhf("validate", base_manifest, "--format", "json").out) == []


def test_a_missing_file_and_a_directory_are_problems(rlhf, tmp_path):
    ended = rlhf("validate", tmp_path / "none.yaml", tmp_path)
    assert ended.code == 2
    assert ended.out.count("cannot be read") == 2


def test_wrong_use_of_the_command_is_exit_code_2(rlhf):
    assert rlhf("validate").code == 2
    assert rlhf("no-such-command").code == 2
    assert rlhf("validate", "x", "--format", "xml").code == 2


def test_help_names_every_command(rlhf):
    text = rlhf("--help").out
    for name in ("run", "validate", "plan", "init"):
        assert name in text


@pytest.mark.parametrize("command", ["run", "validate", "plan", "init", "drive"])
def test_every_command_explains_itself(rlhf, command):
    ended = rlhf(command, "--help")
    assert ended.code == 0
    assert "Usage: rlhf " + command in ended.out


def test_run_lists_the_problems_of_a_bad_manifest(rlhf, base_manifest):
    ended = rlhf("run", base_manifest, "--set", "maxSteps=0", "--set", "seed=x")
    assert ended.code == 2
    assert "spec.training.maxSteps: is 0; take a number of at least 1" in ended.err
    assert "spec.training.seed: is" in ended.err


def test_run_refuses_an_override_that_leads_nowhere(rlhf, base_manifest):
    ended = rlhf("run", base_manifest, "--set", "data.train[9].source=x")
    assert ended.code == 2
    assert "the manifest has no spec.training.data.train[9]" in ended.err


def test_run_wants_one_job(rlhf, base_manifest, tmp_path):
    two = tmp_path / "two.yaml"
    two.write_text(f"{base_manifest.read_text()}\n---\n{base_manifest.read_text()}")
    ended = rlhf("run", two)
    assert (ended.code, "holds 2 RLHFJobs" in ended.err) == (2, True)


@given(content=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_file_gives_a_traceback(rlhf, tmp_path, content):
    file = tmp_path / "any.yaml"
    file.write_bytes(content)
    ended = rlhf("validate", file)
    assert ended.code == 2
    assert "unexpected" not in ended.err


def test_the_command_starts_without_heavy_libraries(python, base_manifest):
    out = python(
        "import sys; from openrlhf_core.cli.main import main; "
        f"main(['validate', {str(base_manifest)!r}]); "
        "print([name for name in ('torch', 'ray', 'numpy', 'transformers', 'kubernetes', 'kopf') "
        "if name in sys.modules])"
    )
    assert out.splitlines()[-1] == "[]"
