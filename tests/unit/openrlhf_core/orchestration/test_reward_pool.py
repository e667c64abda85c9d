"""Which processes hold which reward functions; the processes are in tests/integration."""

import os
from pathlib import Path

from openrlhf_core.orchestration.reward_pool import find_homes
from openrlhf_core.orchestration.reward_worker import FunctionCode


def test_functions_of_one_folder_share_workers_and_modules_share_theirs():
    code: list[Path | str] = [
        Path("/a/x.py"),
        "pkg.rewards",
        Path("/b/x.py"),
        Path("/a/y.py"),
        "other",
    ]
    homes = find_homes([FunctionCode(each, "reward_func") for each in code])
    assert {home.folder: list(numbered) for home, numbered in homes.items()} == {
        "/a": [0, 3],
        None: [1, 4],
        "/b": [2],
    }
    assert {home.working_directory for home in homes} == {os.getcwd()}
