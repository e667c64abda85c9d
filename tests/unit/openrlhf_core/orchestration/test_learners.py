"""What learner ranks write and verify of a checkpoint, each its share."""

from pathlib import Path
from typing import Any

import fakes
import pytest

from openrlhf_core.checkpoint_manifest import FileEntry, describe_files
from openrlhf_core.data.balance import BatchLimits
from openrlhf_core.orchestration.actor_group import ActorGroup
from openrlhf_core.orchestration.learners import LearnerActor, LearnerGroup, flushed, shares_of


def entry(path: str, size: int) -> FileEntry:
    return FileEntry(path=path, size=size, sha256="0" * 64)


def group_of(count: int) -> LearnerGroup:
    handles: list[Any] = [fakes.Handle(LearnerActor(None)) for _ in range(count)]
    actors = ActorGroup("policy rank", handles, fakes.collect)
    return LearnerGroup(actors, BatchLimits(max_tokens=8), fakes.collect)


def test_shares_of_files_have_about_equal_bytes() -> None:
    files = [entry("a", 10), entry("b", 90), entry("c", 50), entry("d", 45)]
    shares = shares_of(files, 2)
    assert [[file.path for file in share] for share in shares] == [["b", "a"], ["c", "d"]]


def test_with_more_ranks_than_files_some_have_none() -> None:
    assert shares_of([entry("a", 1)], 3) == [[entry("a", 1)], [], []]


@pytest.mark.parametrize("num_ranks", [1, 2, 5])
def test_ranks_find_every_changed_file(tmp_path: Path, num_ranks: int) -> None:
    for number in range(4):
        (tmp_path / f"{number}.bin").write_bytes(bytes([number]) * (number + 1))
    entries = describe_files(tmp_path, [Path(f"{number}.bin") for number in range(4)])
    assert group_of(num_ranks).changed_files(tmp_path, entries) == []
    (tmp_path / "2.bin").write_bytes(b"xyz")
    assert group_of(num_ranks).changed_files(tmp_path, entries) == ["2.bin"]


def test_files_of_a_role_are_listed_from_the_checkpoint(tmp_path: Path) -> None:
    role = tmp_path / "roles" / "policy"
    role.mkdir(parents=True)
    (role / "weights.bin").write_bytes(b"abc")
    (found,) = flushed(tmp_path, role, [Path("weights.bin")])
    assert (found.path, found.size) == ("roles/policy/weights.bin", 3)
