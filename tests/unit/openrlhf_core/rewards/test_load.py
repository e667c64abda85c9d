"""Users' reward code: loaded, or told what is wrong in their own file and line."""

import sys
from pathlib import Path

import pytest

from openrlhf_core.builtin.catalogue import builtin_names, builtin_path
from openrlhf_core.rewards.load import load_function, module_name
from openrlhf_core.spec.exit_codes import ConfigurationError


def write(path: Path, code: str) -> Path:
    path.write_text(code)
    return path


def test_a_function_of_a_file_is_loaded_under_its_entry(tmp_path: Path):
    file = write(tmp_path / "mine.py", "def other(queries, prompts, labels):\n    return [1]\n")
    assert load_function(file, "other")([], [], []) == [1]


def test_two_files_of_one_name_do_not_meet(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "reward.py", f"def reward_func(q, p, l):\n    return {name!r}\n")
    files = [tmp_path / name / "reward.py" for name in ("a", "b")]
    assert [load_function(file, "reward_func")(1, 2, 3) for file in files] == ["a", "b"]


def test_a_file_has_its_own_name_where_that_is_free(tmp_path: Path):
    assert module_name(tmp_path / "my rewards.py") == "my rewards"
    assert module_name(tmp_path / "json.py").endswith("_json")
    assert module_name(tmp_path / "graphlib.py").endswith("_graphlib"), "of the standard library"
    assert module_name(tmp_path / "pytest.py").endswith("_pytest"), "another module has the name"
    assert module_name(tmp_path / "v1.2.py").endswith("_v1.2"), "not one name"
    assert module_name(tmp_path / "a" / "json.py") != module_name(tmp_path / "b" / "json.py")


def test_a_file_runs_once_for_all_its_entries(tmp_path: Path):
    code = (
        "from pathlib import Path\n"
        f"with open({str(tmp_path / 'runs')!r}, 'a') as file:\n    file.write('x')\n"
        "def one(q, p, l): ...\ndef two(q, p, l): ...\n"
    )
    file = write(tmp_path / "reward.py", code)
    load_function(file, "one")
    load_function(file, "two")
    assert (tmp_path / "runs").read_text() == "x"


def test_a_module_is_loaded_by_its_name(tmp_path: Path):
    write(tmp_path / "installed_rewards.py", "def reward_func(q, p, l):\n    return 7\n")
    sys.path.append(str(tmp_path))
    try:
        assert load_function("installed_rewards", "reward_func")(1, 2, 3) == 7
    finally:
        sys.path.remove(str(tmp_path))


@pytest.mark.parametrize("name", builtin_names("function"))
def test_every_builtin_verifier_loads(name: str):
    function = load_function(builtin_path(name, "function"), "reward_func")
    assert function(["2+3=5"], ["2+3="], ["5"]) == [1.0]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_module\n", "reward.py:1: ModuleNotFoundError: No module named"),
        ("x = 1\nraise ValueError('bad')\n", "reward.py:2: ValueError: bad"),
        ("x = 1\ndef f(:\n", "reward.py:2: SyntaxError"),
        ("import sys\nsys.exit(3)\n", "reward.py:2: SystemExit: 3"),
        ("import json\njson.loads('{')\n", "reward.py:2: JSONDecodeError"),
    ],
)
def test_code_that_cannot_be_imported_names_its_own_line(tmp_path: Path, code: str, words: str):
    file = write(tmp_path / "reward.py", code)
    with pytest.raises(ConfigurationError, match="cannot be imported") as raised:
        load_function(file, "reward_func")
    assert words in str(raised.value)
    assert "rewards/load.py" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_module_that_is_not_there_says_so():
    with pytest.raises(ConfigurationError, match="ModuleNotFoundError: No module named 'no_such"):
        load_function("no_such_package.rewards", "reward_func")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def score(q, p, l): ...\n", r"no function 'reward_func' \(there are: score\)"),
        ("reward_func = 3\n", "'reward_func' is 3, not a function"),
        ("def reward_func(queries): ...\n", "cannot be called as .*: too many positional"),
        ("def reward_func(a, b, c, *, d): ...\n", None),
        ("def reward_func(*everything): ...\n", None),
        ("class R:\n    def __call__(self, q, p, l): ...\nreward_func = R()\n", None),
    ],
)
def test_what_bears_the_entrys_name_must_take_three(tmp_path: Path, code: str, words: str | None):
    file = write(tmp_path / "reward.py", code)
    if words is None:
        load_function(file, "reward_func")
        return
    with pytest.raises(ConfigurationError, match=words):
        load_function(file, "reward_func")


def test_a_file_of_another_kind_says_so(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"does not end in \.py"):
        load_function(write(tmp_path / "reward.txt", "x"), "reward_func")


def test_the_example_of_an_own_reward_scores_the_share_of_vowels():
    file = Path(__file__).parents[4] / "examples" / "reward_function.py"
    function = load_function(file, "vowel_share")
    assert function(["kf7>aei7<eos>", "kf7><eos>"], ["kf7>"] * 2, ["7"] * 2) == [0.75, 0.0]
