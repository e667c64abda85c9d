"""Rows become prompts: templates, limits, labels, what is wrong with a row, the stream."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from openrlhf_core.builtin.catalogue import builtin_path
from openrlhf_core.data.prompt_datasets import load_prompts
from openrlhf_core.data.prompts import PromptStream
from openrlhf_core.data.tokenizer import load_tokenizer
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.data import DataKeysSpec, DatasetSpec, DataSpec

TOKENIZER = load_tokenizer(builtin_path("tiny", "model"))


def make_data(*sources: str, keys: DataKeysSpec | None = None, **settings: Any) -> DataSpec:
    train = tuple(DatasetSpec(name=f"set-{i}", source=text) for i, text in enumerate(sources))
    return DataSpec(train=train, keys=keys or DataKeysSpec(), **settings)


def write_rows(path: Path, rows: Sequence[object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def load(tmp_path: Path, rows: Sequence[object], **settings: Any):
    source = write_rows(tmp_path / "rows.jsonl", rows)
    (dataset,) = load_prompts(make_data(source, **settings), TOKENIZER, Locator(tmp_path))
    return dataset


def test_a_plain_prompt_is_read_as_it_stands(tmp_path: Path):
    dataset = load(tmp_path, [{"prompt": "ab"}, {"prompt": "cde"}])
    assert dataset.texts == ["ab", "cde"]
    assert [len(dataset.prompt_ids(row)) for row in (0, 1)] == [2, 3]
    assert TOKENIZER.decode(dataset.prompt_ids(1).tolist()) == "cde"
    assert dataset.labels == ["", ""]
    assert dataset.longest == 3


def test_an_input_template_keeps_other_braces(tmp_path: Path):
    dataset = load(tmp_path, [{"prompt": "{x}"}], input_template="Q: {} {json} A:")
    assert dataset.texts == ["Q: {x} {json} A:"]


def test_a_chat_template_takes_a_text_or_messages(tmp_path: Path):
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]
    rows = [{"prompt": "hi"}, {"prompt": messages}]
    dataset = load(tmp_path, rows, apply_chat_template=True)
    assert dataset.texts == ["<bos><user>hi<assistant>", "<bos><system>s<user>hi<assistant>"]
    assert dataset.prompt_ids(0).tolist()[0] == TOKENIZER.bos_token_id
    assert len(dataset.prompt_ids(0)) == 5


def test_labels_and_other_columns_come_along_as_they_are(tmp_path: Path):
    rows = [{"question": "a", "answer": [1, 2], "level": 3}, {"question": "b", "answer": None}]
    dataset = load(tmp_path, rows, keys=DataKeysSpec(prompt="question", label="answer"))
    assert dataset.labels == [[1, 2], ""]
    assert dataset.columns == [{"answer": [1, 2], "level": 3}, {"answer": None}]


def test_prompts_that_are_too_long_are_left_out_and_counted(tmp_path: Path, caplog):
    rows = [{"prompt": "abc", "n": 1}, {"prompt": "abcd", "n": 2}, {"prompt": "ab", "n": 3}]
    dataset = load(tmp_path, rows, prompt_max_length=3)
    assert dataset.texts == ["abc", "ab"]
    assert [columns["n"] for columns in dataset.columns] == [1, 3]
    assert dataset.num_left_out == 1
    assert "left_out=1" in caplog.text


def test_an_end_token_that_the_tokenizer_adds_is_taken_off(tmp_path: Path):
    tokenizer = load_tokenizer(builtin_path("tiny", "model"))
    tokenizer.add_bos_token = True
    tokenizer.add_eos_token = True
    assert tokenizer("ab").input_ids[-1] == tokenizer.eos_token_id
    source = write_rows(tmp_path / "rows.jsonl", [{"prompt": "ab"}])
    (dataset,) = load_prompts(make_data(source), tokenizer, Locator(tmp_path))
    assert dataset.prompt_ids(0).tolist() == [2, *TOKENIZER("ab").input_ids]


USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("row", "settings", "words"),
    [
        ({"text": "a"}, {}, "no column 'prompt' .there are: 'text'.; add it, or name another"),
        ({"prompt": ""}, {}, "'prompt' is empty"),
        ({"prompt": " \n"}, {}, "'prompt' is empty"),
        ({"prompt": []}, {"apply_chat_template": True}, "'prompt' is empty"),
        ({"prompt": None}, {}, "'prompt' is null"),
        ({"prompt": 3}, {}, "'prompt' is int"),
        ({"prompt": [USER]}, {}, "set data.applyChatTemplate: true"),
        ({"prompt": ["hi"]}, {"apply_chat_template": True}, "chat message 1 is not of the form"),
        ({"prompt": [{"role": "user"}]}, {"apply_chat_template": True}, "'content' of chat mess"),
        (
            {"prompt": [USER, {"role": "assistant", "content": "yes"}]},
            {"apply_chat_template": True},
            "the last chat message is the assistant's",
        ),
        ({"prompt": "a"}, {"keys": DataKeysSpec(label="answer")}, "no column 'answer'"),
        ({"prompt": "☃"}, {}, "makes no token of"),
        ({"prompt": "\ud800"}, {}, "surrogates not allowed"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(tmp_path: Path, row, settings, words: str):
    good = {"prompt": [USER] if settings.get("apply_chat_template") else "fine", "answer": "1"}
    with pytest.raises(ConfigurationError, match=words) as raised:
        load(tmp_path, [good, row], **settings)
    assert f"{tmp_path / 'rows.jsonl'}, line 2: " in str(raised.value)


def test_a_template_that_fails_on_a_row_names_it(tmp_path: Path):
    tokenizer = load_tokenizer(
        builtin_path("tiny", "model"), chat_template="{{ raise_exception('no system') }}"
    )
    source = write_rows(tmp_path / "rows.jsonl", [{"prompt": "a"}])
    with pytest.raises(ConfigurationError, match="line 1: no system"):
        load_prompts(make_data(source, apply_chat_template=True), tokenizer, Locator(tmp_path))


def test_a_model_without_a_chat_template_says_what_to_set(tmp_path: Path):
    tokenizer = load_tokenizer(builtin_path("tiny", "model"))
    tokenizer.chat_template = None
    source = write_rows(tmp_path / "rows.jsonl", [{"prompt": "a"}])
    with pytest.raises(ConfigurationError, match=r"set model\.policy\.chatTemplate"):
        load_prompts(make_data(source, apply_chat_template=True), tokenizer, Locator(tmp_path))


def test_no_row_and_no_row_left_are_errors(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"data.train 'set-0' .* has no row"):
        load(tmp_path, [])
    with pytest.raises(ConfigurationError, match="the shortest has 4: raise the limit"):
        load(tmp_path, [{"prompt": "abcd"}], prompt_max_length=3)


def test_progress_is_told(tmp_path: Path):
    source = write_rows(tmp_path / "rows.jsonl", [{"prompt": "a"}] * 5000)
    told: list[tuple[str, int, int]] = []
    load_prompts(make_data(source), TOKENIZER, Locator(tmp_path), lambda *args: told.append(args))
    assert told == [("set-0", 4096, 5000), ("set-0", 5000, 5000)]


TOOL_CHAT = [USER, {"role": "assistant", "content": "x", "tool_calls": [{"name": "f"}]}, USER]
COUNTS_CALLS = (
    "{% for m in messages %}{% if 'tool_calls' in m %}{{ m.tool_calls | length }} call(s)"
    "{% elif 'name' in m %}({{ m.name }}){% else %}{{ m.content }}{% endif %}|{% endfor %}"
)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_keys_that_a_message_lacks_are_absent_from_every_format(tmp_path: Path, name: str):
    rows = [{"prompt": TOOL_CHAT}, {"prompt": [{**USER, "name": "eva"}]}, {"prompt": [USER]}]
    if name == "rows.jsonl":
        write_rows(tmp_path / name, rows)
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / name)
    tokenizer = load_tokenizer(builtin_path("tiny", "model"), chat_template=COUNTS_CALLS)
    data = make_data(name, apply_chat_template=True)
    (dataset,) = load_prompts(data, tokenizer, Locator(tmp_path))
    assert dataset.texts == ["hi|1 call(s)|hi|", "(eva)|", "hi|"]


def test_chats_for_reward_functions_have_no_nulls_of_arrow(tmp_path: Path):
    rows = [{"prompt": "a", "history": [USER], "n": None}, {"prompt": "b", "history": TOOL_CHAT}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (dataset,) = load_prompts(make_data("rows.parquet"), TOKENIZER, Locator(tmp_path))
    assert dataset.columns == [{"history": [USER], "n": None}, {"history": TOOL_CHAT, "n": None}]


def bos_tokenizer(directory: Path, extra: str = ""):
    """The tiny tokenizer as one that puts <bos> in front; `extra` is added beyond the embedding."""
    tokenizer = load_tokenizer(builtin_path("tiny", "model"))
    tokenizer.add_bos_token = True
    if extra:
        tokenizer.add_special_tokens({"additional_special_tokens": [extra]})
    tokenizer.save_pretrained(directory)
    (directory / "config.json").write_text(json.dumps({"vocab_size": 128}))
    return load_tokenizer(directory)


def test_a_prompt_that_begins_with_bos_gets_no_second_one(tmp_path: Path):
    tokenizer = bos_tokenizer(tmp_path / "model")
    source = write_rows(tmp_path / "rows.jsonl", [{"prompt": "<bos>ab"}, {"prompt": "ab"}])
    for template, first in ((None, [2]), ("<bos>{}", [2, 2])):
        data = make_data(source, input_template=template)
        (dataset,) = load_prompts(data, tokenizer, Locator(tmp_path))
        ab = TOKENIZER("ab").input_ids
        assert dataset.prompt_ids(0).tolist() == [*first, *ab]
        assert dataset.prompt_ids(1).tolist() == [2, *ab]


def test_a_token_beyond_the_embedding_is_named_with_its_row(tmp_path: Path):
    tokenizer = bos_tokenizer(tmp_path / "model", extra="<image>")
    source = write_rows(tmp_path / "rows.jsonl", [{"prompt": "ab"}, {"prompt": "a<image>"}])
    with pytest.raises(ConfigurationError, match=r"rows.jsonl, line 2: the token '<image>' has id"):
        load_prompts(make_data(source), tokenizer, Locator(tmp_path))
    source = write_rows(tmp_path / "rows.jsonl", [{"prompt": "ab"}])
    assert len(load_prompts(make_data(source), tokenizer, Locator(tmp_path))[0]) == 1


DATED = "{{ strftime_now('%d %b %Y') }} {{ range(9999) | random }} {{ messages[0].content }}"


def dated(tmp_path: Path, day: int, template: str = DATED, **settings: Any) -> PromptStream:
    source = write_rows(tmp_path / "rows.jsonl", [{"prompt": "hi"}])
    tokenizer = load_tokenizer(builtin_path("tiny", "model"), chat_template=template)
    data = make_data(source, apply_chat_template=True, **settings)
    now = datetime(2026, 11, day, tzinfo=UTC)
    return PromptStream(load_prompts(data, tokenizer, Locator(tmp_path), now=now), seed=1)


def test_a_template_with_the_date_changes_no_fingerprint(tmp_path: Path):
    first, next_day = dated(tmp_path, day=25), dated(tmp_path, day=26)
    assert first.batch(0, 1)[0].text[:2] == "25"
    assert next_day.batch(0, 1)[0].text[:2] == "26"
    assert first.fingerprint == next_day.fingerprint


def test_a_run_that_began_yesterday_keeps_its_texts(tmp_path: Path):
    texts = [dated(tmp_path, day=25).batch(0, 1)[0].text for _ in range(2)]
    assert texts[0] == texts[1]


def test_the_fingerprint_tells_templates_and_limits_apart(tmp_path: Path):
    streams = [
        dated(tmp_path, day=25),
        dated(tmp_path, day=25, template=DATED + "!"),
        dated(tmp_path, day=25, prompt_max_length=100),
        dated(tmp_path, day=25, input_template="Q: {}"),
    ]
    assert len({stream.fingerprint for stream in streams}) == 4


def make_stream(tmp_path: Path, seed: int = 1, suffix: str = "") -> PromptStream:
    first = write_rows(tmp_path / "a.jsonl", [{"prompt": f"a{i}", "label": i} for i in range(4)])
    second = write_rows(tmp_path / "b.jsonl", [{"prompt": f"b{i}{suffix}"} for i in range(2)])
    return PromptStream(load_prompts(make_data(first, second), TOKENIZER, Locator(tmp_path)), seed)


def test_a_stream_numbers_its_prompts_by_position(tmp_path: Path):
    stream = make_stream(tmp_path)
    assert stream.epoch_size == 6
    batch = stream.batch(4, 4)
    assert [prompt.prompt_id for prompt in batch] == [4, 5, 6, 7]
    assert sorted(prompt.text for prompt in stream.batch(6, 6)) == [
        "a0", "a1", "a2", "a3", "b0", "b1",
    ]  # fmt: skip
    for prompt in batch:
        assert TOKENIZER.decode(prompt.token_ids.tolist()) == prompt.text
        assert prompt.dataset == ("set-0" if prompt.text[0] == "a" else "set-1")
    assert stream.longest_prompt == 2
    assert stream.num_left_out == 0


def test_a_stream_repeats_with_its_seed_alone(tmp_path: Path):
    texts = [[p.text for p in make_stream(tmp_path, seed).batch(0, 12)] for seed in (1, 1, 2)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_the_fingerprint_tells_other_data_from_the_same(tmp_path: Path):
    first = make_stream(tmp_path).fingerprint
    assert make_stream(tmp_path).fingerprint == first
    assert make_stream(tmp_path, suffix="!").fingerprint != first
    assert len(first) == 64
