"""Does what a page of docs/develop says to a copy of the checkout.

A block ```LANGUAGE title=PATH is a new file. A block ```diff names a file after `---`; each part
after `@@` is one place in it: its lines but those with `+` must be there exactly once, and become
its lines but those with `-`.
"""

import re
import shutil
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted((REPOSITORY / "docs" / "develop").glob("*.md"))
COPIED = ("openrlhf_core", "operator", "examples", "crds", "helm", "tests", "pyproject.toml")
BLOCK = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def copy_checkout(target: Path) -> Path:
    """Copies code, tests, examples and generated files; returns the copy's folder."""
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)
    return target


def follow(page: Path, checkout: Path) -> list[Path]:
    """Makes the changes that a page tells of; returns the files that it adds."""
    added = []
    for language, title, text in BLOCK.findall(page.read_text()):
        if language == "diff":
            change(text, checkout)
        elif title:
            path = checkout / title
            assert not path.exists(), f"{page.name} adds {title}, which is there"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            added.append(path)
    return added


def change(diff: str, checkout: Path) -> None:
    """Makes the changes of one block to one file."""
    head, *places = re.split(r"^@@\n", diff, flags=re.MULTILINE)
    path = checkout / head.removeprefix("--- ").strip()
    content = path.read_text()
    for place in places:
        lines = place.splitlines(keepends=True)
        before = "".join(line[1:] or "\n" for line in lines if not line.startswith("+"))
        after = "".join(line[1:] or "\n" for line in lines if not line.startswith("-"))
        found = content.count(before)
        assert found == 1, f"{path.name} has this {found} times, not once:\n{before}"
        content = content.replace(before, after)
    path.write_text(content)
