"""Messages of chats, the same from JSONL and from Parquet."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from openrlhf_core.data.messages import is_chat, read_messages, with_text_contents
from openrlhf_core.data.reading.formats import read_file

USER = {"role": "user", "content": "hi"}
CALL = {"id": "1", "function": {"name": "add", "arguments": {"a": 1}}}
OTHER = {"id": "2", "function": {"name": "say", "arguments": {"text": "x", "loud": True}}}
CHATS = [
    [USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}],
    [{**USER, "name": "eva"}, {"role": "assistant", "content": "no", "tool_calls": [OTHER]}],
    [USER, {"role": "assistant", "reasoning_content": "hm", "content": "yes"}],
    [USER, {"role": "assistant", "tool_calls": [CALL, OTHER]}],
]


def test_parquet_and_json_lines_give_equal_messages(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"chat": c}) + "\n" for c in CHATS))
    table = pyarrow.Table.from_pylist([{"chat": chat} for chat in CHATS])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    lines, columns = (
        [read_messages(row.row["chat"]) for row in read_file(tmp_path / name)]
        for name in ("a.jsonl", "a.parquet")
    )
    assert lines == columns
    assert lines[0][1] == {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert lines[1][0] == {"role": "user", "content": "hi", "name": "eva"}
    assert lines[2][0] == USER


def test_a_message_keeps_the_order_of_its_keys():
    (message,) = read_messages([{"role": "user", "name": None, "content": "a", "extra": [None]}])
    assert list(message.items()) == [("role", "user"), ("content", "a"), ("extra", [None])]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("text", "is not a list of messages"),
        ([], "is not a list of messages"),
        (["text"], "chat message 1 is not of the form"),
        ([USER, {"content": "x"}], "chat message 2 is not of the form"),
        ([USER, {"role": None, "content": "x"}], "chat message 2 is not of the form"),
        ([{"role": "user"}], "'content' of chat message 1 is missing"),
        ([{"role": "user", "content": None, "name": "eva"}], "'content' of chat message 1"),
    ],
)
def test_what_is_no_chat_says_so(value: object, words: str):
    with pytest.raises(ValueError, match=words):
        read_messages(value)


def test_a_column_of_messages_is_told_from_others():
    assert is_chat([USER])
    assert not any(is_chat(value) for value in ("a", None, [], ["a"], [{"a": 1}], [{"role": 1}]))


def test_text_parts_are_joined_for_templates_that_need_texts():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    tool = {"role": "tool", "content": [1, 2]}
    made = with_text_contents([{"role": "user", "content": parts}, USER, tool])
    assert made == [{"role": "user", "content": "ab"}, USER, tool]


def test_an_image_for_a_template_of_texts_says_so():
    image = [{"role": "user", "content": [{"type": "image", "url": "x"}]}]
    with pytest.raises(ValueError, match="a part of type 'image'"):
        with_text_contents(image)
