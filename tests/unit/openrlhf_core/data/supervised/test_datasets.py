"""Datasets of supervised recipes: from files to samples, once."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from openrlhf_core.data.reading.rows import PlacedRow
from openrlhf_core.data.sample_stream import SampleDataset
from openrlhf_core.data.supervised.datasets import LoadSettings, load_samples
from openrlhf_core.data.supervised.sft import SFTMaker
from openrlhf_core.data.supervised.tokenising import processes_for, tokenise
from openrlhf_core.objectives.sft import SFTSample
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.data import DatasetSpec

GOOD = [{"prompt": "ab", "response": "c"}, {"prompt": "d", "response": "ef"}]


@pytest.fixture
def maker(make_renderer) -> SFTMaker:
    return SFTMaker(make_renderer(chat=True), "prompt", "response", None, "AssistantTurns")


def write(file: Path, rows: Sequence[object]) -> DatasetSpec:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DatasetSpec(name=file.stem, source=str(file))


def load(
    tmp_path: Path,
    maker: SFTMaker,
    rows: Sequence[object],
    on_progress: Any = None,
    **settings: Any,
) -> SampleDataset[SFTSample]:
    spec = write(tmp_path / "rows.jsonl", rows)
    wanted = LoadSettings(**{"max_length": 1000, **settings})
    locator = Locator(tmp_path, cache=tmp_path / "cache")
    (loaded,) = load_samples([spec], maker, wanted, locator, on_progress)
    return loaded


def texts(dataset: SampleDataset[SFTSample], maker: SFTMaker) -> list[str]:
    decode = maker.renderer.tokenizer.decode
    return [str(decode(s.token_ids[s.loss_mask].tolist())) for s in dataset.samples]


def test_rows_become_samples_in_their_order(tmp_path: Path, maker):
    told: list[tuple] = []
    dataset = load(tmp_path, maker, GOOD, lambda *args: told.append(args))
    assert texts(dataset, maker) == ["c<|im_end|>", "ef<|im_end|>"]
    assert (dataset.name, dataset.weight, len(dataset.samples)) == ("rows", 1.0, 2)
    assert told == [("rows", 2, 2)]


def test_the_second_time_they_are_found(tmp_path: Path, maker):
    first = load(tmp_path, maker, GOOD)
    told: list[tuple] = []
    again = load(tmp_path, maker, GOOD, lambda *args: told.append(args))
    assert told == []
    assert again.digest == first.digest
    assert texts(again, maker) == texts(first, maker)
    assert len(list((tmp_path / "cache" / "samples").iterdir())) == 1


def test_a_broken_cache_is_made_anew(tmp_path: Path, maker):
    first = texts(load(tmp_path, maker, GOOD), maker)
    (directory,) = (tmp_path / "cache" / "samples").iterdir()
    (directory / "token_ids").write_bytes(b"")
    assert texts(load(tmp_path, maker, GOOD), maker) == first


def test_whatever_decides_the_samples_is_in_the_digest(tmp_path: Path, maker, make_renderer):
    plain = replace(maker, renderer=make_renderer(), loss_on="AllTokens")
    digests = [
        load(tmp_path, maker, GOOD).digest,
        load(tmp_path, maker, GOOD[:1]).digest,
        load(tmp_path, maker, GOOD, max_length=999).digest,
        load(tmp_path, plain, GOOD).digest,
        load(tmp_path, replace(plain, loss_on="AssistantTurns"), GOOD).digest,
        load(tmp_path, replace(plain, renderer=make_renderer(template="{}:")), GOOD).digest,
    ]
    assert len(set(digests)) == len(digests)


def test_the_time_decides_the_cache_but_not_the_digest(tmp_path: Path, maker, tokenizer):
    dated = tokenizer.__class__.from_pretrained(save(tokenizer, tmp_path / "tokenizer"))
    dated.chat_template = "{{ strftime_now('%d') }}" + tokenizer.chat_template
    made = []
    for day in (25, 26, 25):
        renderer = replace(maker.renderer, tokenizer=dated, now=datetime(2026, 11, day, tzinfo=UTC))
        dataset = load(tmp_path, replace(maker, renderer=renderer), GOOD)
        made.append((dataset.digest, dated.decode(dataset.samples[0].token_ids[:2].tolist())))
    assert [text for _, text in made] == ["25", "26", "25"]
    assert len({digest for digest, _ in made}) == 1


def save(tokenizer, directory: Path) -> Path:
    tokenizer.save_pretrained(directory)
    return directory


def test_a_bad_row_ends_the_run_with_its_place(tmp_path: Path, maker):
    rows = [GOOD[0], {"prompt": "a"}, GOOD[1]]
    with pytest.raises(ConfigurationError, match=r"rows.jsonl, line 2 cannot be used: no column"):
        load(tmp_path, maker, rows)
    assert list((tmp_path / "cache").rglob("token_ids")) == []


def test_a_row_that_cannot_be_read_ends_the_run(tmp_path: Path, maker):
    with pytest.raises(ConfigurationError, match=r"rows.jsonl, line 2 is a int, not an object"):
        load(tmp_path, maker, [GOOD[0], 3])


def test_bad_rows_are_skipped_and_counted_when_asked(tmp_path: Path, maker, caplog):
    rows = [GOOD[0], 3, {"prompt": "a"}, GOOD[1]]
    for _ in ("made", "found"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            dataset = load(tmp_path, maker, rows, bad_rows="Skip")
        assert texts(dataset, maker) == ["c<|im_end|>", "ef<|im_end|>"]
        assert dataset.num_bad == 2
        assert "bad=2" in caplog.text
        assert "line 2 is a int" in caplog.text


def test_rows_that_are_too_long_are_left_out_and_counted(tmp_path: Path, maker, caplog):
    rows = [{"prompt": "a" * 50, "response": "b"}, GOOD[0]]
    dataset = load(tmp_path, maker, rows, max_length=40)
    assert texts(dataset, maker) == ["c<|im_end|>"]
    assert dataset.num_too_long == 1
    assert "too_long=1" in caplog.text


@pytest.mark.parametrize(
    ("rows", "settings", "words"),
    [
        ([], {}, "it is empty"),
        (GOOD, {"max_length": 3}, "within 3 tokens: 2 are too long, raise the limit"),
        ([{"prompt": "a"}], {"bad_rows": "Skip"}, "the first is .*rows.jsonl, line 1 cannot be"),
    ],
)
def test_a_dataset_of_which_nothing_is_left_is_refused(
    tmp_path: Path, maker, rows, settings, words
):
    with pytest.raises(ConfigurationError, match=words):
        load(tmp_path, maker, rows, **settings)


def test_a_token_beyond_the_embedding_is_a_bad_row(tmp_path: Path, maker, tokenizer):
    directory = save(tokenizer, tmp_path / "model")
    (directory / "config.json").write_text(json.dumps({"vocab_size": 258}))
    loaded = tokenizer.__class__.from_pretrained(directory)
    renderer = replace(maker.renderer, tokenizer=loaded)
    with pytest.raises(ConfigurationError, match=r"line 2 cannot be used: the token '#' has id"):
        load(
            tmp_path, replace(maker, renderer=renderer), [GOOD[0], {"prompt": "#", "response": "a"}]
        )


def test_several_processes_give_the_same_samples_in_the_same_order(tmp_path: Path, maker):
    rows = [{"prompt": f"{i}", "response": "x" * (i % 7) + "y"} for i in range(1500)] + [3]
    alone = load(tmp_path, maker, rows, bad_rows="Skip", num_processes=1)
    counted: list[tuple[str, int, int]] = []
    locator = Locator(tmp_path, cache=tmp_path / "other")
    (shared,) = load_samples(
        [DatasetSpec(name="rows", source="rows.jsonl")],
        maker,
        LoadSettings(max_length=1000, bad_rows="Skip", num_processes=2),
        locator,
        lambda *args: counted.append(args),
    )
    assert texts(shared, maker) == texts(alone, maker)
    assert (shared.digest, shared.num_bad) == (alone.digest, 1)
    assert [done for _, done, _ in counted] == [512, 1024, 1501]


def test_processes_are_started_for_many_rows_alone():
    assert processes_for(100) == 1
    assert processes_for(19_999) == 1
    assert processes_for(10**9) >= 1


def test_no_more_is_read_than_is_under_way(maker):
    read = 0

    def rows():
        nonlocal read
        for row in [*GOOD] * 5000:
            read += 1
            yield placed(row)

    made = tokenise(maker, rows(), max_length=100, num_processes=1)
    assert next(made).num_rows == read == 512


def placed(row: dict[str, str]) -> PlacedRow:
    return PlacedRow("rows", "line", 1, row)
