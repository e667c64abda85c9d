"""An environment is judged by what lies on the disk, so that a killed installation can go on."""

from pathlib import Path

import pytest

from environment_state import (
    MARKER,
    fingerprint,
    installed,
    is_foreign,
    is_usable,
    missing_pins,
    read_pins,
    remove_torn,
)


def make_distribution(site: Path, name: str, version: str, record: str | None) -> Path:
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if record is not None:
        (folder / "RECORD").write_text(record)
    return folder


def whole_record(name: str, version: str) -> str:
    return f"{name}/__init__.py,,\n{name}-{version}.dist-info/INSTALLER,sha256=x,4\n"


def make_environment(folder: Path, *, is_ours: bool) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    (folder / "bin" / "pip").write_text(f"#!{folder}/bin/python\n")
    if is_ours:
        (folder / MARKER).touch()
    return folder


def test_pins_are_read_by_canonical_name() -> None:
    text = "# title\ntorch==2.13.0+cpu\nPyYAML==6.0.3  # why\n\njaxtyping_x.y==1\n"
    assert read_pins(text) == {"torch": "2.13.0+cpu", "pyyaml": "6.0.3", "jaxtyping-x-y": "1"}


@pytest.mark.parametrize("line", ["torch", "torch>=2", "torch=="])
def test_a_line_that_is_no_exact_pin_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="make lock"):
        read_pins(line)


def test_a_distribution_counts_only_when_pip_finished_it(tmp_path: Path) -> None:
    make_distribution(tmp_path, "whole", "1.0", whole_record("whole", "1.0"))
    make_distribution(tmp_path, "begun", "1.0", "begun/__init__.py,,\n")
    make_distribution(tmp_path, "barely", "1.0", None)
    assert installed(tmp_path) == {"whole": "1.0"}


def test_what_a_killed_pip_left_is_removed_and_the_rest_stays(tmp_path: Path) -> None:
    make_distribution(tmp_path, "whole", "1.0", whole_record("whole", "1.0"))
    make_distribution(tmp_path, "begun", "1.0", "begun/__init__.py,,\n")
    (tmp_path / "~hole").mkdir()
    (tmp_path / "~ingle.py").touch()
    (tmp_path / "module.py").touch()
    assert remove_torn(tmp_path) == ["begun-1.0.dist-info", "~hole", "~ingle.py"]
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["module.py", "whole-1.0.dist-info"]
    assert remove_torn(tmp_path) == []


def test_missing_pins_are_absent_ones_and_other_versions() -> None:
    pins = {"torch": "2.13.0+cpu", "ray": "2.60.0", "rich": "15.0.0"}
    found = {"torch": "2.13.0", "rich": "15.0.0", "other": "1"}
    assert missing_pins(pins, found) == {"torch": "2.13.0+cpu", "ray": "2.60.0"}


def test_the_fingerprint_changes_with_a_file_a_fact_and_an_absence(tmp_path: Path) -> None:
    file = tmp_path / "pins.txt"
    file.write_text("a==1\n")
    first = fingerprint([file], ["/venv"])
    assert first == fingerprint([file], ["/venv"])
    assert first != fingerprint([file], ["/elsewhere"])
    file.write_text("a==2\n")
    second = fingerprint([file], ["/venv"])
    file.unlink()
    assert len({first, second, fingerprint([file], ["/venv"])}) == 3


def test_an_environment_that_was_moved_or_half_made_is_not_usable(tmp_path: Path) -> None:
    venv = make_environment(tmp_path / "venv", is_ours=True)
    assert is_usable(venv)
    moved = venv.rename(tmp_path / "moved")
    assert not is_usable(moved)
    half = tmp_path / "half"
    half.mkdir()
    assert not is_usable(half)


def test_only_what_the_installer_made_may_be_made_anew(tmp_path: Path) -> None:
    ours = make_environment(tmp_path / "ours", is_ours=True).rename(tmp_path / "ours-moved")
    theirs = make_environment(tmp_path / "theirs", is_ours=False).rename(tmp_path / "theirs-moved")
    assert not is_foreign(ours)
    assert is_foreign(theirs)


def test_a_usable_environment_an_empty_folder_and_nothing_are_not_foreign(tmp_path: Path) -> None:
    usable = make_environment(tmp_path / "usable", is_ours=False)
    (tmp_path / "empty").mkdir()
    assert not is_foreign(usable)
    assert not is_foreign(tmp_path / "empty")
    assert not is_foreign(tmp_path / "absent")


def test_a_file_or_a_dangling_link_in_the_way_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert is_foreign(tmp_path / "file")
    assert is_foreign(tmp_path / "link")
