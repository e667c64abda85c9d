"""What the README shows works as it is shown."""

import re
from pathlib import Path
from typing import Any

import pytest

from openrlhf_core.spec.reading.validate import judge_content

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()


FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, without their fences."""
    return [text for name, text in FENCED if name == language]


def test_the_manifest_is_valid() -> None:
    (manifest,) = blocks("yaml")
    judged = judge_content(manifest.encode(), "README.md")
    assert judged.problems == ()
    assert [job.metadata.name for job in judged.jobs] == ["my-first-run"]


def test_the_reward_function_scores_completions_and_not_prompts() -> None:
    (code,) = blocks("python")
    scope: dict[str, Any] = {}
    exec(code, scope)
    scores = scope["reward_func"](["2+2= 4", "4+4= 9"], ["2+2=", "4+4="], ["4", "4"])
    assert scores == [1.0, 0.0]


@pytest.mark.parametrize("page", ["README.md", "docs/install.md"])
def test_every_linked_file_exists(page: str) -> None:
    folder = (REPOSITORY / page).parent
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", (REPOSITORY / page).read_text())
    assert [link for link in links if not (folder / link).exists()] == []


def test_every_make_target_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
    shown = set(re.findall(r"^make ([a-z0-9-]+)", "\n".join(blocks("")), re.MULTILINE))
    assert shown
    assert shown <= targets


def test_every_folder_of_the_tree_exists() -> None:
    (tree,) = [block for block in blocks("") if "openrlhf_core/ " in block]
    top = [line.split()[0] for line in tree.splitlines() if not line.startswith(" ")]
    assert [name for name in top if not (REPOSITORY / name).is_dir()] == []
