"""The commit protocol: what is committed is whole, what is not whole is passed over."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from openrlhf_core.checkpoint import CheckpointStore
from openrlhf_core.checkpoint_manifest import FileEntry, RunState, parse, read_manifest, render
from openrlhf_core.spec.exit_codes import RetryableError
from openrlhf_core.spec.progress import CheckpointRecord


def make_state(step: int = 0) -> RunState:
    return RunState(
        data_cursor=16 * step,
        policy_version=step,
        seed=42,
        spec_hash="ab12",
        dataset_fingerprint="cd34",
        world_size=2,
        versions={"torch": "2.13.0"},
    )


def write_ranks(staged: Path, step: int) -> None:
    (staged / "optimizer").mkdir()
    (staged / "model.safetensors").write_bytes(bytes([step % 256]) * 3000)
    for rank in range(2):
        (staged / "optimizer" / f"rank-{rank}.pt").write_bytes(random.Random(rank).randbytes(500))


def commit(store: CheckpointStore, step: int) -> CheckpointRecord:
    staged = store.stage(step)
    write_ranks(staged, step)
    return store.commit(staged, step, make_state(step))


def names(output: Path) -> list[str]:
    return sorted(path.name for path in (output / "checkpoints").iterdir())


def newest_step(output: Path) -> int | None:
    checkpoint = CheckpointStore(output, keep=2).newest()
    return None if checkpoint is None else checkpoint.step


def test_a_committed_checkpoint_is_found_with_its_state(tmp_path: Path) -> None:
    record = commit(CheckpointStore(tmp_path, keep=2), 5)
    found = CheckpointStore(tmp_path, keep=2).newest()
    assert found is not None
    assert (found.record, found.state) == (record, make_state(5))
    assert record.path == "checkpoints/step-00000005"
    assert found.directory == tmp_path / record.path


def test_without_a_commit_there_is_no_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    assert store.newest() is None
    write_ranks(store.stage(5), 5)
    assert store.newest() is None
    assert store.count() == 0


def test_the_manifest_lists_every_file_with_its_hash(tmp_path: Path) -> None:
    record = commit(CheckpointStore(tmp_path, keep=2), 5)
    manifest = json.loads((tmp_path / record.path / "manifest.json").read_text())
    assert [(file["path"], file["size"]) for file in manifest["files"]] == [
        ("model.safetensors", 3000),
        ("optimizer/rank-0.pt", 500),
        ("optimizer/rank-1.pt", 500),
    ]
    # sha256 of 3000 bytes 0x05, by `head -c 3000 /dev/zero | tr '\0' '\005' | sha256sum`
    assert manifest["files"][0]["sha256"] == (
        "27215f3afdd7525aebf98de69a86634257f380f75dd31f4aa743ed8fff5c03e4"
    )


def test_rotation_keeps_the_newest(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    for step in (5, 10, 15, 20):
        commit(store, step)
    assert names(tmp_path) == ["step-00000015", "step-00000020"]
    assert store.count() == 2


def test_checkpoints_sort_by_number_beyond_eight_digits(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    commit(store, 99_999_999)
    commit(store, 100_000_000)
    assert newest_step(tmp_path) == 100_000_000


def test_committing_a_step_again_keeps_the_standing_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    assert commit(store, 5) == commit(store, 5)
    assert names(tmp_path) == ["step-00000005"]


def test_a_broken_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    commit(store, 5)
    (tmp_path / "checkpoints/step-00000005/model.safetensors").write_bytes(b"x")
    assert newest_step(tmp_path) is None
    commit(store, 5)
    assert newest_step(tmp_path) == 5
    assert names(tmp_path) == ["step-00000005"]


def flip_bit(path: Path, seed: int = 7) -> None:
    content = bytearray(path.read_bytes())
    position = random.Random(seed).randrange(len(content) * 8)
    content[position // 8] ^= 1 << (position % 8)
    path.write_bytes(bytes(content))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def replace_by_link(path: Path) -> None:
    shutil.move(path, path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


@pytest.mark.parametrize("harm", [flip_bit, truncate, Path.unlink, replace_by_link])
@pytest.mark.parametrize("name", ["model.safetensors", "manifest.json"])
def test_a_damaged_file_falls_back_to_the_checkpoint_before(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    harm: Callable[[Path], None],
) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    commit(store, 5)
    commit(store, 10)
    harm(tmp_path / "checkpoints" / "step-00000010" / name)
    assert newest_step(tmp_path) == 5
    assert "step-00000010 is passed over" in caplog.text
    assert name in caplog.text


def test_a_file_that_is_not_listed_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = commit(CheckpointStore(tmp_path, keep=2), 5)
    (tmp_path / record.path / "optimizer" / "extra.pt").write_bytes(b"")
    assert newest_step(tmp_path) is None
    assert "optimizer/extra.pt is not in its manifest.json" in caplog.text


def test_a_checkpoint_under_another_steps_name_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = commit(CheckpointStore(tmp_path, keep=2), 5)
    (tmp_path / record.path).rename(tmp_path / "checkpoints" / "step-00000009")
    assert newest_step(tmp_path) is None
    assert "its manifest is of step 5" in caplog.text


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    record = commit(CheckpointStore(tmp_path, keep=2), 5)
    files = [path for path in (tmp_path / record.path).rglob("*") if path.is_file()]
    for seed in range(200):
        path = files[seed % len(files)]
        before = path.read_bytes()
        flip_bit(path, seed)
        assert newest_step(tmp_path) is None, (path, seed)
        path.write_bytes(before)
    assert newest_step(tmp_path) == 5


def test_a_rendered_manifest_reads_back_as_itself(tmp_path: Path) -> None:
    record = commit(CheckpointStore(tmp_path, keep=2), 5)
    content = (tmp_path / record.path / "manifest.json").read_bytes()
    assert render(parse(content)).encode() == content


def test_after_falling_back_the_broken_later_one_goes(tmp_path: Path) -> None:
    """Else it would count as newest, and with keep=1 the only good one would be rotated away."""
    store = CheckpointStore(tmp_path, keep=1)
    commit(store, 10)
    flip_bit(tmp_path / "checkpoints/step-00000010/model.safetensors")
    commit(store, 6)
    assert names(tmp_path) == ["step-00000006"]
    assert newest_step(tmp_path) == 6


def test_leftovers_of_dead_commits_are_removed(tmp_path: Path) -> None:
    write_ranks(CheckpointStore(tmp_path, keep=2).stage(5), 5)
    store = CheckpointStore(tmp_path, keep=2)
    first = store.stage(5)
    second = store.stage(10)
    assert names(tmp_path) == sorted([first.name, second.name])


def test_an_abandoned_step_leaves_nothing(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    staged = store.stage(5)
    write_ranks(staged, 5)
    store.abandon(staged)
    assert names(tmp_path) == []


def test_an_empty_checkpoint_is_refused(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    with pytest.raises(ValueError, match="the learner wrote nothing"):
        store.commit(store.stage(5), 5, make_state())


def test_a_link_is_not_committed(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    staged = store.stage(5)
    (staged / "latest").symlink_to("model.safetensors")
    with pytest.raises(ValueError, match="latest is neither a file nor a directory"):
        store.commit(staged, 5, make_state())
    assert names(tmp_path) == []


def test_an_attempt_that_lost_the_directory_commits_nothing(tmp_path: Path) -> None:
    def taken() -> None:
        raise RetryableError("attempt 2 has taken the output directory")

    commit(CheckpointStore(tmp_path, keep=2), 5)
    with pytest.raises(RetryableError, match="attempt 2"):
        commit(CheckpointStore(tmp_path, keep=2, still_ours=taken), 10)
    assert names(tmp_path) == ["step-00000005"]


def test_files_that_vanish_before_the_commit_are_a_run_error(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    staged = store.stage(5)
    shutil.rmtree(staged)
    with pytest.raises(RetryableError, match="writing failed"):
        store.commit(staged, 5, make_state())


def test_files_that_a_rank_has_hashed_are_not_read_again(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    staged = store.stage(5)
    write_ranks(staged, 5)
    told = FileEntry(path="model.safetensors", size=3000, sha256="a" * 64)
    record = store.commit(staged, 5, make_state(5), [told])
    manifest = read_manifest(tmp_path / record.path, 5)
    assert [entry.path for entry in manifest.files] == [
        "model.safetensors",
        "optimizer/rank-0.pt",
        "optimizer/rank-1.pt",
    ]
    assert manifest.files[0] == told


def test_a_hashed_file_that_did_not_arrive_whole_is_not_committed(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    staged = store.stage(5)
    write_ranks(staged, 5)
    with pytest.raises(RetryableError, match=r"has 3000 bytes, its writer saw 3001"):
        store.commit(
            staged,
            5,
            make_state(5),
            [FileEntry(path="model.safetensors", size=3001, sha256="a" * 64)],
        )
    assert names(tmp_path) == []


def test_the_listed_newest_is_found_without_reading_its_files(tmp_path: Path) -> None:
    record = commit(CheckpointStore(tmp_path, keep=2), 5)
    flip_bit(tmp_path / record.path / "model.safetensors")
    found = CheckpointStore(tmp_path, keep=2).newest_listed()
    assert found is not None
    assert found.step == 5
    assert newest_step(tmp_path) is None


def test_whoever_reads_the_files_decides_which_checkpoint_counts(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    commit(store, 5)
    commit(store, 10)
    found = store.newest(lambda directory, files: [f.path for f in files if "10" in directory.name])
    assert found is not None
    assert found.step == 5
