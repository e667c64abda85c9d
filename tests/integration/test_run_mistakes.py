"""What users get wrong: a clear error and exit code 2, or masked samples; never a traceback."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest
import run_lab

TINY = Path(str(files("openrlhf_core.builtin"))) / "models" / "tiny"
FEW = (*run_lab.SMALL, "maxSteps=2", "checkpoint.everySteps=0")


def write_rows(path: Path, rows: Sequence[object]) -> str:
    """The override that trains on a file of these rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"data.train[0].source={path}"


def without_tokenizer(model: Path) -> str:
    shutil.copytree(TINY, model)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).unlink()
    return f"model.policy.source={model}"


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the command says of each mistake that is found before Ray starts."""
    home = tmp_path_factory.mktemp("refused")
    mistakes = {
        "no prompt": write_rows(home / "key.jsonl", [{"prompt": "1"}, {"question": "2"}]),
        "empty prompt": write_rows(home / "empty.jsonl", [{"prompt": "1"}, {"prompt": ""}]),
        "long prompts": write_rows(home / "long.jsonl", [{"prompt": "1" * 60}]),
        "no tokenizer": without_tokenizer(home / "model"),
        "no model": f"model.policy.source={home / 'nowhere'}",
        "no reward code": f"reward.functions[0].source={home / 'missing.py'}",
    }
    ended = run_lab.run_each(home, {name: (*FEW, each) for name, each in mistakes.items()})
    for finished in ended.values():
        assert finished.exit_code == 2, finished.text
        assert "Traceback" not in finished.text
    return {name: finished.text for name, finished in ended.items()}


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("no prompt", ("key.jsonl", "2", "prompt")),
        ("empty prompt", ("empty.jsonl",)),
        ("long prompts", ("promptMaxLength",)),
        ("no tokenizer", ("holds no tokenizer",)),
        ("no model", ("nowhere",)),
        ("no reward code", ("missing.py",)),
    ],
)
def test_a_mistake_that_can_be_seen_before_ray_starts_is_refused(
    refused: dict[str, str], mistake: str, words: Sequence[str]
) -> None:
    assert [word for word in words if word not in refused[mistake]] == []


def test_reward_code_that_does_not_import_is_refused_by_its_own_line(tmp_path: Path) -> None:
    code = tmp_path / "reward.py"
    code.write_text("import math\nimport no_such_module\n")
    finished = run_lab.run(tmp_path / "out", *FEW, f"reward.functions[0].source={code}")
    assert finished.exit_code == 2, finished.text
    assert "Traceback" not in finished.text
    assert "reward.py" in finished.text
    assert "no_such_module" in finished.text


BROKEN = """
import os, time

def reward_func(queries, prompts, labels, kind):
    if os.path.exists(ALL_FAIL):
        return 1 / 0
    return {
        "fine": lambda: [0.5] * len(queries),
        "raises": lambda: 1 / 0,
        "hangs": lambda: time.sleep(3600),
        "exits": lambda: os._exit(3),
        "nan": lambda: [float("nan")] * len(queries),
        "none": lambda: None,
        "short": lambda: [1.0],
        "string": lambda: "good",
    }[kind[0]]()
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, run_lab.Finished]:
    """A run with one of each kind of failed reward call a step, and later only failed ones."""
    home = tmp_path_factory.mktemp("broken")
    kinds = ["fine", "raises", "hangs", "exits", "nan", "none", "short", "string"]
    data = write_rows(home / "data.jsonl", [{"prompt": "1", "kind": kind} for kind in kinds])
    code, all_fail = home / "reward.py", home / "all-fail"
    code.write_text(BROKEN.replace("ALL_FAIL", repr(str(all_fail))))
    running = run_lab.Running(
        home / "out",
        *FEW,
        "maxSteps=20",
        "rl.rolloutBatchSize=8",
        data,
        f"reward.functions[0].source={code}",
        "reward.functions[0].timeoutSeconds=5",
    )
    running.wait_for_step(2)
    all_fail.touch()
    return home / "out", running.end()


def test_every_kind_of_failed_reward_call_masks_its_samples_and_the_run_goes_on(
    broken: tuple[Path, run_lab.Finished],
) -> None:
    for row in run_lab.curve(broken[0])[:2]:
        assert row["reward/failed_ratio"] == 7 / 8
        assert row["reward/mean"] == 0.5


def test_rewards_that_never_come_end_the_run_with_the_first_error(
    broken: tuple[Path, run_lab.Finished],
) -> None:
    output, finished = broken
    assert finished.exit_code == 2, finished.text
    assert "Traceback" not in finished.text
    assert "ZeroDivisionError" in finished.text
    assert "3 steps in a row" in finished.text
    rows = run_lab.curve(output)
    # The steps from the first that failed whole count; the run ends in the third of them.
    failed = [row["reward/failed_ratio"] == 1.0 for row in rows]
    assert failed[-3:] == [False, True, True]


def test_a_full_disk_is_said_and_nothing_that_was_committed_is_lost(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    size = "size=12m"  # two checkpoints of 5 MB each do not fit beside the model
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(mount)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        finished = run_lab.run(
            mount / "out", *FEW, "maxSteps=6", "checkpoint.everySteps=1", "checkpoint.keep=3"
        )
        assert finished.exit_code == 10, finished.text
        assert "Traceback" not in finished.text
        assert "No space left" in finished.text or "full" in finished.text
        assert list((mount / "out" / "checkpoints").glob("step-*/manifest.json"))
    finally:
        subprocess.run(["umount", str(mount)], check=True)
