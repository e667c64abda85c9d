"""YAML as kubectl reads it, with lines."""

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openrlhf_core.spec.reading.yaml_reader import MAX_BYTES, path_text, read_yaml


def read_one(text: str):
    file = read_yaml(text.encode())
    assert file.problems == ()
    (document,) = file.documents
    return document


def problems_of(text: str) -> list[tuple[int, str, str]]:
    return [(p.line, path_text(p.path), p.message) for p in read_yaml(text.encode()).problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-7", 5e-7),
        ("1e6", 1_000_000),
        ("5.0", 5),
        ("-0.0", 0),
        (".5", 0.5),
        ("010", 8),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0b101", -5),
        ("1_000", 1000),
        ("+7", 7),
        ("08", 8),
        ("0", 0),
        ("18446744073709551616", 18446744073709551616),
        ("no", False),
        ("y", True),
        ("On", True),
        ("oN", "oN"),
        ("~", None),
        ("null", None),
        ("12:30", "12:30"),
        ("190:20:30", "190:20:30"),
        ("2026-11-22", "2026-11-22"),
        ("1.2.3", "1.2.3"),
        ("1e", "1e"),
        ("-", None),
        ("'5'", "5"),
        ('"yes"', "yes"),
        ("!!str 5", "5"),
        ('!!int "5"', 5),
        ("|\n  5\n", "5\n"),
    ],
)
def test_a_scalar_means_what_kubectl_takes_it_for(text, value):
    if text == "-":
        assert read_one("x:\n -").data == {"x": [None]}
        return
    read = read_one(f"x: {text}").data["x"]
    assert read == value
    assert type(read) is type(value)


def test_every_field_has_its_line():
    document = read_one("a: 1\nb:\n  c:\n  - d: 2\n    e: 3\n  - 4\nf: {g: 1,\n  h: 2}\n")
    lines = {path_text(path): line for path, line in document.lines.items()}
    assert lines == {
        "": 1,
        "a": 1,
        "b": 2,
        "b.c": 3,
        "b.c[0]": 4,
        "b.c[0].d": 4,
        "b.c[0].e": 5,
        "b.c[1]": 6,
        "f": 7,
        "f.g": 7,
        "f.h": 8,
    }


def test_a_field_that_is_not_there_has_the_line_of_what_should_hold_it():
    document = read_one("a:\n  b: 1\n")
    assert document.line_of(("a", "c", "d")) == 1
    assert document.line_of(("a", "b", 3)) == 2
    assert document.line_of(("z",)) == 1


def test_documents_of_one_file_keep_their_lines():
    file = read_yaml(b"---\na: 1\n---\n---\n# nothing\n---\nb: 2\n")
    assert [(d.data, d.line_of(("b",))) for d in file.documents] == [({"a": 1}, 2), ({"b": 2}, 7)]


def test_json_is_read_too():
    assert read_one('{"a": [1, 2.5,\n\t"x\\u00e9"],\n "b": null}').data == {
        "a": [1, 2.5, "x\u00e9"],
        "b": None,
    }


def test_a_byte_order_mark_is_passed_over():
    assert read_yaml(b"\xef\xbb\xbfa: 1").documents[0].data == {"a": 1}


def test_anchors_and_merges_are_filled_in():
    text = "base: &b {x: 1, w: 2}\nmore: &m {w: 3, z: 4}\nout:\n  <<: [*b, *m]\n  x: 9\n"
    assert read_one(text).data["out"] == {"x": 9, "w": 2, "z": 4}
    assert read_one("a: &x [1]\nb: *x").data == {"a": [1], "b": [1]}


def test_every_problem_of_a_file_is_listed():
    text = "a: 1\nb: .nan\na: 2\nc:\n  1: x\n  d: -.inf\n  d: 2\n"
    assert [(line, field) for line, field, _ in problems_of(text)] == [
        (2, "b"),
        (3, "a"),
        (5, "c"),
        (6, "c.d"),
        (7, "c.d"),
    ]


@pytest.mark.parametrize("key", ["1", "yes", "n", "1.5", "~", "[a]", "{a: 1}"])
def test_a_key_that_is_no_text_is_a_problem(key):
    ((line, _, message),) = problems_of(f"a: 1\n? {key}\n: 2\n")
    assert (line, message.endswith("is no text")) == (2, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not YAML"),
        ("a: b: c", "not YAML"),
        ("a:\n\t- b", "not YAML"),
        ("a: *b", "has no anchor"),
        ("a: &x [*x]", "has no anchor"),
        ("a: !!python/object:os.system x", "is not known here"),
        ("a: !secret x", "is not known here"),
        ("a: !!int x", "is no int"),
        ("a: \x00", "not YAML"),
        ("a: 1e999", "larger than any number"),
        ("[" * 500 + "]" * 500, "nested deeper"),
        ("a: {<<: 1}", "<< takes a map"),
    ],
)
def test_what_cannot_be_read_is_said(text, message):
    assert message in problems_of(text)[0][2]


def test_an_alias_bomb_is_bounded():
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 30)]
    text = "\n".join(["l0: &l0 [x, x, x, x]", *levels])
    assert "more than" in problems_of(text)[-1][2]


def test_a_large_file_and_a_wrong_encoding_are_said():
    assert "larger than" in read_yaml(b"a" * (MAX_BYTES + 1)).problems[0].message
    (problem,) = read_yaml(b"a: 1\nb: \xff\xfe").problems
    assert (problem.line, problem.message) == (2, "the file is not UTF-8 text")


def test_odd_keys_stand_in_brackets_in_a_path():
    assert path_text(("metadata", "labels", "a.b/c", 0)) == "metadata.labels[a.b/c][0]"


TEXTS = st.text(max_size=8)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXTS, JSON_VALUES), st.booleans())
@example({"a\x85b": '\u2028\u2029\x7f\ufeff\U0001f600 \\ / "'}, True)
@example({"a\x85b": '\u2028\u2029\x7f\ufeff\U0001f600 \\ / "'}, False)
def test_json_survives_the_reader(data, is_ascii):
    document = read_one(json.dumps(data, ensure_ascii=is_ascii))
    assert document.data == data


# Read off kubectl 1.35: `kubectl label --local -f FILE k=v -o json`.
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a": "p\x85q"}', ["p\x85q"]),
        (' \n{"a": "p\x85q"}\n', ["p\x85q"]),
        ('\ufeff{"a": "p\x85q"}', ["p\x85q"]),
        ('# not JSON\n{"a": "p\x85q"}', ["p q"]),
        ('---\n{"a": "p\x85q"}', ["p q"]),
        ('{a: "p\x85q"}', ["p q"]),
        ('{"a": "p\x85q"}\n---\n{"a": "p\x85q"}', ["p\x85q", "p q"]),
        ('{"a": "\\ud83d x"}', ["\ufffd x"]),
        ('{"a": "\\ud83d\\ude00 \\/ \\u0085"}', ["\U0001f600 / \x85"]),
    ],
)
def test_only_what_a_file_begins_with_is_json(text, values):
    file = read_yaml(text.encode())
    assert not file.problems
    assert [document.data["a"] for document in file.documents] == values


def test_json_keeps_its_lines_and_its_bounds():
    assert read_one('{"a":\n "\u2028",\n "b": 1}').line_of(("b",)) == 3
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    assert "nested deeper" in problems_of(deep)[0][2]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_as_kubectl_would_send_it(number):
    read = read_one(f"x: {number!r}").data["x"]
    assert math.isclose(read, number, rel_tol=0, abs_tol=0)


@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"#%@`?, \n\t0.~<", max_size=80))
@example(b"? ? : :")
@example("%YAML 9.9\n---\na")
@example("&a")
@example("a: &a\n")
def test_no_bytes_raise(content):
    raw = content if isinstance(content, bytes) else content.encode()
    for problem in read_yaml(raw).problems:
        assert problem.line >= 1
        assert problem.message and problem.fix
