"""Reward workers on a real Ray: users' code that hangs, dies, lies or prints harms nobody else."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_lab import local_ray  # noqa: F401 - starts Ray
from sample_builders import make_rollout

from openrlhf_core.orchestration.reward_pool import RewardPool
from openrlhf_core.rewards.rewards import Rewards, ScoredBatch
from openrlhf_core.samples import Prompt, Rollout
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError, StopRequested
from openrlhf_core.spec.kinds.reward import RewardFunctionSpec


def nobody_stops() -> None:
    """A stop flag that is never set."""


def make_rollouts(num_prompts: int, group_size: int = 2) -> tuple[list[Rollout], list[str]]:
    """Prompts p0, p1, ... with label = their number; completions a0, a1, ..."""
    rollouts = [
        make_rollout(
            Prompt(p, f"p{p} ", np.zeros(2, np.int32), label=p, columns={"level": p}),
            sample_index=sample,
        )
        for p in range(num_prompts)
        for sample in range(group_size)
    ]
    return rollouts, [f"{each.prompt.text}a{each.sample_index}" for each in rollouts]


def make_pool(tmp_path: Path, code: str, num_workers: int = 2, **spec: Any) -> RewardPool:
    (tmp_path / "reward.py").write_text(code)
    function = RewardFunctionSpec(source="reward.py", **spec)
    return RewardPool([function], Locator(tmp_path), num_workers, tmp_path / "rewards.log")


def score(pool: RewardPool, num_prompts: int = 3, group_size: int = 2) -> ScoredBatch:
    pool.wait_ready(nobody_stops)
    return Rewards([pool]).score(*make_rollouts(num_prompts, group_size), nobody_stops)


def values(scored: ScoredBatch) -> list[float | None]:
    return [each.score for each in scored.rollouts]


def test_scores_come_back_in_order_with_labels_columns_and_weights(tmp_path: Path):
    (tmp_path / "a.py").write_text(
        "def reward_func(queries, prompts, labels, level):\n"
        "    return [l + lv + int(q[-1]) / 2 for q, l, lv in zip(queries, labels, level)]\n"
    )
    functions = [
        RewardFunctionSpec(name="mine", source="a.py", weight=0.5, batch_size=1),
        RewardFunctionSpec(name="digits", source="builtin://digits"),
    ]
    pool = RewardPool(functions, Locator(tmp_path), 2)
    scored = score(pool)
    # mine = 2 x prompt + sample / 2; digits of "a0" = 1/2
    assert values(scored) == [0.5 * (2 * p + s / 2) + 0.5 for p in range(3) for s in range(2)]
    assert scored.rollouts[3].parts == {"mine": 2.5, "digits": 0.5}
    assert scored.error is None
    pool.close()


def test_a_failed_call_masks_its_group_alone(tmp_path: Path):
    pool = make_pool(
        tmp_path,
        "def reward_func(queries, prompts, labels):\n"
        "    if labels[0] == 1:\n"
        "        raise ValueError('no such answer')\n"
        "    return [1.0] * len(queries)\n",
    )
    scored = score(pool)
    assert values(scored) == [1.0, 1.0, None, None, 1.0, 1.0]
    assert "reward.py:3: ValueError: no such answer" in (scored.error or "")
    scored = score(pool, 1)
    assert values(scored) == [1.0, 1.0]
    assert scored.error is None
    pool.close()


@pytest.mark.parametrize(
    ("misdeed", "words"),
    [
        ("os._exit(1)", "its worker died"),
        ("ctypes.string_at(0)", "its worker died"),
        ("time.sleep(10**6)", "no answer within timeoutSeconds of 1"),
        ("[None for _ in iter(int, 1)]", "no answer within timeoutSeconds of 1"),
        ("re.match('(a+)+$', 'a' * 64 + 'b')", "no answer within timeoutSeconds of 1"),
    ],
    ids=["exits", "crashes", "sleeps", "loops", "holds the interpreter"],
)
def test_a_worker_that_dies_or_hangs_is_replaced(tmp_path: Path, misdeed: str, words: str):
    pids = tmp_path / "pids"
    pool = make_pool(
        tmp_path,
        "import ctypes, os, re, time\n"
        f"with open({str(pids)!r}, 'a') as file:\n    print(os.getpid(), file=file)\n"
        "def reward_func(queries, prompts, labels):\n"
        f"    if labels[0] == 0:\n        {misdeed}\n"
        "    return [1.0] * len(queries)\n",
        num_workers=1,
        timeout_seconds=1.0,
    )
    scored = score(pool)
    assert values(scored) == [None, None, 1.0, 1.0, 1.0, 1.0]
    assert words in (scored.error or "")
    first, second = map(int, pids.read_text().split())
    assert wait_until_gone(first)
    pool.close()
    assert wait_until_gone(second)


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while Path("/proc", str(pid)).exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not Path("/proc", str(pid)).exists()


def test_calls_run_side_by_side(tmp_path: Path):
    pool = make_pool(
        tmp_path,
        "import time\n"
        "def reward_func(queries, prompts, labels):\n"
        "    begin = time.time()\n    time.sleep(1)\n"
        "    return [begin] * len(queries)\n",
    )
    begins = values(score(pool, num_prompts=2))
    assert begins[0] is not None and begins[2] is not None
    assert abs(begins[0] - begins[2]) < 0.9
    pool.close()


def test_prints_go_to_the_log_file_and_state_lives_as_long_as_the_worker(tmp_path: Path):
    pool = make_pool(
        tmp_path,
        "import os\nseen = []\n"
        "async def reward_func(queries, prompts, labels):\n"
        "    seen.append(1)\n    print('scored', len(seen), flush=True)\n"
        "    os.system('echo from a child')\n"
        "    return [len(seen)] * len(queries)\n",
        num_workers=1,
    )
    assert values(score(pool)) == [1, 1, 2, 2, 3, 3]
    log = (tmp_path / "rewards.log").read_text()
    assert "scored 3" in log
    assert "from a child" in log
    pool.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\nimport no_such_module\n", "reward.py:2: ModuleNotFoundError"),
        ("import os\nos._exit(0)\n", "the process died while it imported the reward code"),
        ("def other(): ...\n", "has no function 'reward_func'"),
    ],
)
def test_code_that_cannot_be_imported_ends_the_run_before_it_begins(
    tmp_path: Path, code: str, words: str
):
    pool = make_pool(tmp_path, code)
    with pytest.raises(ConfigurationError, match=words):
        pool.wait_ready(nobody_stops)
    pool.close()


def test_code_that_is_not_there_is_told_at_once(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="nowhere"):
        RewardPool([RewardFunctionSpec(source="nowhere.py")], Locator(tmp_path))


def test_a_driver_that_is_late_itself_blames_no_worker(tmp_path: Path):
    pool = make_pool(
        tmp_path,
        "def reward_func(queries, prompts, labels):\n    return labels\n",
        timeout_seconds=1.0,
    )
    pool.wait_ready(nobody_stops)

    def sleep_over_the_deadline() -> None:
        time.sleep(1.5)

    scored = Rewards([pool]).score(*make_rollouts(4, 1), sleep_over_the_deadline)
    assert values(scored) == [0, 1, 2, 3]
    pool.close()


def test_a_stop_breaks_off_and_the_next_submission_starts_afresh(tmp_path: Path):
    pool = make_pool(
        tmp_path,
        "import time\n"
        "def reward_func(queries, prompts, labels):\n"
        "    time.sleep(30 if labels[0] == 2 else 0)\n"
        "    return labels\n",
    )
    pool.wait_ready(nobody_stops)
    begin = time.monotonic()

    def stop_after_a_second() -> None:
        if time.monotonic() > begin + 1:
            raise StopRequested("stop")

    with pytest.raises(StopRequested):
        Rewards([pool]).score(*make_rollouts(3), stop_after_a_second)
    assert time.monotonic() < begin + 5
    assert values(score(pool, 2)) == [0, 0, 1, 1]
    pool.close()


def test_a_replacement_that_cannot_import_masks_what_is_left(tmp_path: Path):
    mark = tmp_path / "mark"
    pool = make_pool(
        tmp_path,
        "import os\n"
        f"if os.path.exists({str(mark)!r}):\n    raise RuntimeError('only once')\n"
        "def reward_func(queries, prompts, labels):\n"
        f"    open({str(mark)!r}, 'w')\n    os._exit(1)\n",
        num_workers=1,
    )
    scored = score(pool)
    assert values(scored) == [None] * 6
    assert "its worker died" in (scored.error or "")
    pool.close()


def test_submissions_are_scored_together_and_collected_in_any_order(tmp_path: Path):
    pool = make_pool(
        tmp_path,
        "def reward_func(queries, prompts, labels):\n    return [len(q) for q in queries]\n",
    )
    pool.wait_ready(nobody_stops)
    rollouts, queries = make_rollouts(2)
    first, second = pool.submit(rollouts, queries), pool.submit(rollouts[:1], ["four"])
    assert list(pool.collect(second, nobody_stops)[0].scores) == [4]
    assert list(pool.collect(first, nobody_stops)[0].scores) == [5, 5, 5, 5]
    pool.close()


POOLS = """
import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor

def one(text):
    return float(len(text))

def scores(method, texts):
    with ProcessPoolExecutor(2, mp_context=mp.get_context(method)) as pool:
        return list(pool.map(one, texts))

def fork(queries, prompts, labels):
    return scores("fork", queries)

def spawn(queries, prompts, labels):
    return scores("spawn", queries)

def forkserver(queries, prompts, labels):
    return scores("forkserver", queries)
"""


@pytest.mark.parametrize("file", ["pools.py", "my-pools.py"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_reward_may_score_in_processes_of_its_own(tmp_path: Path, method: str, file: str):
    (tmp_path / file).write_text(POOLS)
    function = RewardFunctionSpec(source=file, entry=method, timeout_seconds=30)
    pool = RewardPool([function], Locator(tmp_path), 1)
    scored = score(pool, 1)
    assert (values(scored), scored.error) == ([5.0, 5.0], None)
    pool.close()


def test_each_reward_sees_the_modules_of_its_own_folder(tmp_path: Path, monkeypatch):
    """Of four files utils.py: one beside each reward, one where the run starts, one on the path."""
    elsewhere = tmp_path / "elsewhere"
    for number, folder in enumerate(("a", "b", "start", "elsewhere")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "utils.py").write_text(f"VALUE = {number}\n")
    code = "import utils\ndef reward_func(queries, prompts, labels):\n"
    (tmp_path / "a" / "reward.py").write_text(code + "    return [utils.VALUE] * len(queries)\n")
    (tmp_path / "b" / "reward.py").write_text(code + "    return [utils.VALUE] * len(queries)\n")
    monkeypatch.chdir(tmp_path / "start")
    monkeypatch.syspath_prepend(str(elsewhere))
    functions = [
        RewardFunctionSpec(name=folder, source=f"{folder}/reward.py", weight=weight)
        for folder, weight in (("a", 10), ("b", 1))
    ]
    pool = RewardPool(functions, Locator(tmp_path), 2)
    scored = score(pool, 1)
    assert scored.rollouts[0].parts == {"a": 0, "b": 1}
    pool.close()


def test_the_users_directory_is_where_a_reward_reads_files_and_finds_modules(
    tmp_path: Path, monkeypatch
):
    start, home = tmp_path / "start", tmp_path / "home"
    for folder in (start, home):
        folder.mkdir()
        (folder / "statistics.py").write_text("raise SystemExit('not the library')\n")
    (start / "answers.txt").write_text("3")
    (start / "judge.py").write_text("FACTOR = 2\n")
    (home / "reward.py").write_text(
        "import judge, statistics\n"
        "def reward_func(queries, prompts, labels):\n"
        "    return [statistics.mean([judge.FACTOR * int(open('answers.txt').read())])] * 2\n"
    )
    monkeypatch.chdir(start)
    pool = RewardPool([RewardFunctionSpec(source="reward.py")], Locator(home), 1)
    assert values(score(pool, 1)) == [6.0, 6.0]
    pool.close()
