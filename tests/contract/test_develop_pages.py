"""The pages of docs/develop fit the code: what they change is there, what they add is sound."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from develop_pages import PAGES, change, copy_checkout, follow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code after all pages were followed, one after the other."""
    return copy_checkout(tmp_path_factory.mktemp("develop"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_can_be_followed_and_its_example_is_valid(checkout: Path, page: Path) -> None:
    added = follow(page, checkout)
    (example,) = [path for path in added if path.parent.name == "examples"]
    environment = {**os.environ, "PYTHONPATH": f"{checkout}:{checkout / 'operator'}"}
    done = subprocess.run(
        [sys.executable, "-m", "openrlhf_core", "validate", str(example)],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_place_that_is_not_there_exactly_once_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("a = 1\na = 1\nb = 2\n")
    change("--- code.py\n@@\n b = 2\n+c = 3\n@@\n-b = 2\n+b = 4\n", tmp_path)
    assert (tmp_path / "code.py").read_text() == "a = 1\na = 1\nb = 4\nc = 3\n"
    for place in (" a = 1\n+c = 3\n", " d = 5\n+c = 3\n"):
        with pytest.raises(AssertionError, match="not once"):
            change(f"--- code.py\n@@\n{place}", tmp_path)
