"""The grammar of source URIs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.spec.kinds.sources import ALLOWED, FORMS, Source, parse_source, source_pattern


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("hf://org/name", Source("hf", "org/name")),
        ("hf://org/name@v1.0", Source("hf", "org/name", revision="v1.0")),
        ("hf://gpt2@refs/pr/3", Source("hf", "gpt2", revision="refs/pr/3")),
        ("pvc://models/qwen/7b/", Source("pvc", "models", "qwen/7b")),
        ("pvc://models", Source("pvc", "models")),
        ("configmap://rewards/sums.py", Source("configmap", "rewards", "sums.py")),
        ("python://my_package.rewards", Source("python", "my_package.rewards")),
        ("file:///data/a.jsonl", Source("file", path="/data/a.jsonl")),
        ("builtin://tiny-qwen", Source("builtin", "tiny-qwen")),
        ("../data/a b.jsonl", Source("path", path="../data/a b.jsonl")),
        ("/abs/model", Source("path", path="/abs/model")),
    ],
)
def test_a_source_is_taken_apart(text, source):
    assert parse_source(text) == source


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3://bucket/model", "s3:// sources are not supported yet"),
        ("gs://bucket/model", "not supported yet"),
        ("oci://host/model@sha256:00", "not supported yet"),
        ("http://host/file", "begins with no known scheme"),
        ("HF://org/name", "begins with no known scheme"),
        ("hf://", "hf://org/name@revision"),
        ("hf://a/b/c", "hf://org/name@revision"),
        ("pvc://claim/../other", "pvc://claim/path"),
        ("pvc://Claim/x", "pvc://claim/path"),
        ("configmap://name", "configmap://name/key"),
        ("configmap://name/a/b", "configmap://name/key"),
        ("python://a-b", "python://package.module"),
        ("file://relative", "file:///absolute/path"),
        ("builtin://", "builtin://NAME"),
        (" ", "is not a path"),
        ("a\nb", "is not a path"),
    ],
)
def test_a_bad_source_is_answered_with_the_fix(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_source(text)


@pytest.mark.parametrize(
    ("use", "text"),
    [
        ("model", "configmap://a/b"),
        ("model", "python://a.b"),
        ("data", "python://a.b"),
        ("function", "hf://org/name"),
        ("template", "builtin://x"),
    ],
)
def test_a_scheme_of_another_use_is_answered_with_the_choices(use, text):
    with pytest.raises(ValueError, match=f"is not a source of a {use}; use "):
        parse_source(text, use)


def test_every_scheme_has_a_form_and_a_use():
    assert set(FORMS) == {scheme for schemes in ALLOWED.values() for scheme in schemes}


@given(st.text(max_size=30) | st.from_regex(r"[a-z]{2,9}://[a-z./@_-]{0,12}", fullmatch=True))
def test_any_text_is_a_source_or_a_plain_sentence(text):
    for use in ALLOWED:
        try:
            parsed = parse_source(text, use)
        except ValueError as error:
            assert ";" in str(error)
        else:
            assert parsed.scheme in ALLOWED[use]


@given(st.from_regex(r"[a-z]{2,9}://[A-Za-z0-9./@_-]{0,16}", fullmatch=True))
def test_the_pattern_for_the_server_matches_what_is_parsed(text):
    for use in ALLOWED:
        try:
            parse_source(text, use)
            is_source = True
        except ValueError:
            is_source = False
        assert bool(re.search(source_pattern(use), text)) == is_source
