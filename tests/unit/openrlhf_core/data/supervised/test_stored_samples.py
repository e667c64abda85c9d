"""Samples go into files field by field and come back as they were."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from openrlhf_core.data.supervised.samples import PairSample, UnpairedSample
from openrlhf_core.data.supervised.stored_samples import (
    SampleWriter,
    StoredSamples,
    is_whole,
    new_directory,
    to_columns,
)
from openrlhf_core.objectives.sft import SFTSample
from openrlhf_core.spec.exit_codes import ConfigurationError


def make_text(*ids: int) -> SFTSample:
    return SFTSample(np.asarray(ids, np.int32), np.asarray([i % 2 == 0 for i in ids], bool))


def write(directory: Path, *parts: list) -> Path:
    with new_directory(directory) as staged, closing(SampleWriter(staged)) as writer:
        for part in parts:
            writer.append(to_columns(part))
        writer.finish({"note": 1})
    return directory


def test_samples_come_back_in_order(tmp_path: Path):
    samples = [make_text(1, 2), make_text(3), make_text(), make_text(4, 5, 6)]
    write(tmp_path / "a", samples[:2], [], samples[2:])
    stored = StoredSamples(tmp_path / "a", SFTSample)
    assert [sample.token_ids.tolist() for sample in stored] == [[1, 2], [3], [], [4, 5, 6]]
    assert [sample.loss_mask.tolist() for sample in stored[2:]] == [[], [True, False, True]]
    assert stored[-1].token_ids.dtype == np.int32
    assert stored[-1].loss_mask.dtype == np.bool_
    assert stored[0].loss_weights is None
    assert len(stored) == 4
    assert stored.notes == {"note": 1}
    assert stored.lengths("token_ids").tolist() == [2, 1, 0, 3]
    with pytest.raises(IndexError, match="sample 4 of 4"):
        stored[4]


def test_numbers_come_back_as_numbers(tmp_path: Path):
    text = make_text(1, 2)
    unpaired = [UnpairedSample(text.token_ids, text.loss_mask, flag) for flag in (True, False)]
    pair = PairSample(text.token_ids, text.loss_mask, text.token_ids, text.loss_mask, 0.25)
    flags = StoredSamples(write(tmp_path / "a", unpaired), UnpairedSample)
    assert [sample.is_desirable for sample in flags] == [True, False]
    assert all(type(sample.is_desirable) is bool for sample in flags)
    assert StoredSamples(write(tmp_path / "b", [pair]), PairSample)[0].margin == 0.25


def test_a_sample_may_be_changed_without_changing_the_file(tmp_path: Path):
    stored = StoredSamples(write(tmp_path / "a", [make_text(1)]), SFTSample)
    stored[0].token_ids[0] = 7
    assert stored[0].token_ids.tolist() == [1]


def test_no_samples_at_all(tmp_path: Path):
    stored = StoredSamples(write(tmp_path / "a", []), SFTSample)
    assert len(stored) == 0
    assert list(stored) == []


def test_a_file_that_was_cut_makes_the_directory_broken(tmp_path: Path):
    directory = write(tmp_path / "a", [make_text(1, 2)])
    assert is_whole(directory)
    (directory / "token_ids").write_bytes(b"")
    assert not is_whole(directory)
    assert not is_whole(tmp_path / "nowhere")
    (directory / "samples.json").write_text("[")
    assert not is_whole(directory)


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path):
    with pytest.raises(RuntimeError), new_directory(tmp_path / "a") as staged:
        (staged / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_last_of_two_writers_takes_the_place(tmp_path: Path):
    write(tmp_path / "a", [make_text(1)])
    stored = StoredSamples(tmp_path / "a", SFTSample)
    write(tmp_path / "a", [make_text(2)])
    assert stored[0].token_ids.tolist() == [1]  # still mapped
    assert StoredSamples(tmp_path / "a", SFTSample)[0].token_ids.tolist() == [2]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot keep tokenised data there"):
        write(tmp_path / "file" / "a", [make_text(1)])
