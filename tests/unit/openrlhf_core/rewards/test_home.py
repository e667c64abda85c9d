"""Where a reward process looks for modules."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from openrlhf_core.rewards.home import RewardHome, search_path

LIBRARY = sysconfig.get_path("stdlib")
DYNAMIC = f"{LIBRARY}/lib-dynload"


def test_the_order_is_library_own_folder_installed_packages_working_directory():
    entries = ["/lab/path", "/usr/site", LIBRARY, DYNAMIC, "/venv/site-packages"]
    home = RewardHome("/lab/rewards", "/lab")
    assert search_path(entries, home) == [
        LIBRARY,
        DYNAMIC,
        "/lab/rewards",
        "/lab/path",
        "/usr/site",
        "/venv/site-packages",
        "/lab",
    ]


def test_modules_that_are_installed_have_no_folder_of_their_own():
    assert search_path(["/site"], RewardHome(None, "/lab")) == ["/site", "/lab"]
    assert search_path(["/site", "/lab"], RewardHome("/lab", "/lab")) == ["/lab", "/site"]


PROGRAM = """
import sys
from openrlhf_core.rewards.home import RewardHome, enter_home
enter_home(RewardHome(sys.argv[1], sys.argv[2]))
import os, statistics, utils
print(os.getcwd(), utils.VALUE, statistics.mean([2]), "__file__" in vars(sys.modules["__main__"]))
"""


def test_a_home_is_entered(tmp_path: Path):
    own, start = tmp_path / "own", tmp_path / "start"
    for number, folder in enumerate((own, start)):
        folder.mkdir()
        (folder / "utils.py").write_text(f"VALUE = {number}")
        (folder / "statistics.py").write_text("raise SystemExit(1)")
    arguments = [sys.executable, "-c", PROGRAM, str(own), str(start)]
    printed = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert printed == f"{start} 0 2 False\n"


def test_a_working_directory_that_is_not_there_is_no_error(tmp_path: Path):
    (tmp_path / "utils.py").write_text("VALUE = 5")
    arguments = [sys.executable, "-c", PROGRAM, str(tmp_path), "/nowhere"]
    printed = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd="/").stdout
    assert printed == "/ 5 2 False\n"
