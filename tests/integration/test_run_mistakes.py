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


def refuse(tmp_path: Path, *overrides: str) -> str:
    """Runs with a mistake; returns what the command says of it."""
    finished = run_lab.run(tmp_path / "out", *FEW, *overrides)
    assert finished.exit_code == 2, finished.text
    assert "Traceback" not in finished.text
    return finished.text


def write_rows(tmp_path: Path, rows: Sequence[object]) -> str:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"data.train[0].source={path}"


def test_a_row_without_the_prompt_key_is_named_by_line(tmp_path: Path) -> None:
    data = write_rows(tmp_path, [{"prompt": "1"}, {"question": "2"}])
    text = refuse(tmp_path, data)
    assert "data.jsonl" in text
    assert "2" in text
    assert "prompt" in text


def test_an_empty_prompt_is_named_by_line(tmp_path: Path) -> None:
    assert "data.jsonl" in refuse(tmp_path, write_rows(tmp_path, [{"prompt": "1"}, {"prompt": ""}]))


def test_data_of_which_every_prompt_is_too_long_is_refused(tmp_path: Path) -> None:
    text = refuse(tmp_path, write_rows(tmp_path, [{"prompt": "1" * 60}]))
    assert "promptMaxLength" in text


def test_a_model_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(TINY, model)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).unlink()
    assert "holds no tokenizer" in refuse(tmp_path, f"model.policy.source={model}")


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "nowhere" in refuse(tmp_path, f"model.policy.source={tmp_path / 'nowhere'}")


def test_reward_code_that_is_not_there_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.py"
    assert "missing.py" in refuse(tmp_path, f"reward.functions[0].source={missing}")


def test_reward_code_that_does_not_import_is_refused_by_its_own_line(tmp_path: Path) -> None:
    code = tmp_path / "reward.py"
    code.write_text("import math\nimport no_such_module\n")
    text = refuse(tmp_path, f"reward.functions[0].source={code}")
    assert "reward.py" in text
    assert "no_such_module" in text


BROKEN = """
import os, time

def reward_func(queries, prompts, labels, kind):
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


def test_every_kind_of_failed_reward_call_masks_its_samples_and_the_run_goes_on(
    tmp_path: Path,
) -> None:
    kinds = ["fine", "raises", "hangs", "exits", "nan", "none", "short", "string"]
    data = write_rows(tmp_path, [{"prompt": "1", "kind": kind} for kind in kinds])
    code = tmp_path / "reward.py"
    code.write_text(BROKEN)
    finished = run_lab.run(
        tmp_path / "out",
        *FEW,
        "rl.rolloutBatchSize=8",
        data,
        f"reward.functions[0].source={code}",
        "reward.functions[0].timeoutSeconds=5",
    )
    assert finished.exit_code == 0, finished.text
    for row in run_lab.curve(tmp_path / "out"):
        assert row["reward/failed_ratio"] == 7 / 8
        assert row["reward/mean"] == 0.5


def test_rewards_that_never_come_end_the_run_with_the_first_error(tmp_path: Path) -> None:
    code = tmp_path / "reward.py"
    code.write_text("def reward_func(queries, prompts, labels):\n    return 1 / 0\n")
    text = refuse(tmp_path, f"reward.functions[0].source={code}", "maxSteps=20")
    assert "ZeroDivisionError" in text
    assert "3 steps in a row" in text
    assert len(run_lab.read_rows(tmp_path / "out")) == 2


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
