"""Samples of process reward models: labels at the placeholders that are not cut off."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openrlhf_core.data.reading.rows import BadRow
from openrlhf_core.data.supervised.steps import StepMaker
from openrlhf_core.spec.exit_codes import ConfigurationError

ORACLE = json.loads((Path(__file__).parents[4] / "oracle" / "prm.json").read_text())
ROWS = [case for case in ORACLE["cases"] if case["name"].startswith("rows-")]


def make_maker(renderer, label_tokens: tuple[str, ...] = ("+", "-")) -> StepMaker:
    return StepMaker(renderer, "text", "labels", "#", label_tokens)


def labels_of(sample: Any, tokenizer) -> list[Any]:
    """The labels as a row has them."""
    tokens = tokenizer.convert_ids_to_tokens(sample.label_ids.tolist())
    probabilities = sample.label_probabilities.tolist()
    return [t if p == 1 else p for t, p in zip(tokens, probabilities, strict=True)]


@pytest.mark.parametrize("case", ROWS, ids=[case["name"] for case in ROWS])
def test_rows_of_the_oracle(case: dict[str, Any], make_renderer, make_one, tokenizer):
    maker = make_maker(make_renderer())
    sample = make_one(maker, case["inputs"], case["settings"]["max_length"])
    assert labels_of(sample, tokenizer) == case["expected"]["labels"]


def test_labels_stand_at_their_placeholders(make_renderer, make_one, tokenizer):
    sample = make_one(make_maker(make_renderer()), {"text": "ab#c##", "labels": ["+", None, "-"]})
    assert sample.step_positions.tolist() == [2, 5]
    assert tokenizer.convert_ids_to_tokens(sample.label_ids.tolist()) == ["+", "-"]
    assert sample.label_probabilities.tolist() == [1.0, 1.0]
    kinds = (sample.token_ids, sample.step_positions, sample.label_ids, sample.label_probabilities)
    assert [array.dtype for array in kinds] == [np.int32, np.int32, np.int32, np.float32]


def test_soft_labels_are_the_first_tokens_probability(make_renderer, make_one, tokenizer):
    sample = make_one(make_maker(make_renderer()), {"text": "a#b#", "labels": [0.25, 1]})
    assert tokenizer.convert_ids_to_tokens(sample.label_ids.tolist()) == ["+", "+"]
    assert sample.label_probabilities.tolist() == [0.25, 1.0]


def test_without_label_tokens_any_token_is_a_label(make_renderer, make_one, tokenizer):
    maker = make_maker(make_renderer(), ())
    sample = make_one(maker, {"text": "a#b#", "labels": ["x", "y"]})
    assert labels_of(sample, tokenizer) == ["x", "y"]


def test_a_text_without_a_label_that_fits_is_left_out(make_renderer, make_one):
    maker = make_maker(make_renderer())
    assert make_one(maker, {"text": "abc#", "labels": ["+"]}, max_length=3) is None
    assert make_one(maker, {"text": "a#b#", "labels": [None, "+"]}, max_length=3) is None


@pytest.mark.parametrize(
    ("labels", "tokens", "words"),
    [
        (["+"], ("+", "-"), "has 1 labels for 2 steps"),
        (["+", "-", "+"], ("+", "-"), "has 3 labels for 2 steps"),
        ("+", ("+", "-"), "has no list of labels"),
        ([None, None], ("+", "-"), "no step has a label"),
        (["+", "?"], ("+", "-"), "'\\?' is none of prm.labelTokens .'\\+', '-'."),
        ([0.5, 1.5], ("+", "-"), "label 2 is 1.5, neither a token nor from 0 to 1"),
        ([True, False], ("+", "-"), "label 1 is True"),
        ([0.5, 0.5], ("+", "-", "x"), "needs two tokens in prm.labelTokens"),
        (["good", "bad"], (), "'good' is not one token"),
    ],
)
def test_a_wrong_row_says_what_is_wrong(make_renderer, make_one, labels, tokens, words: str):
    made = make_one(make_maker(make_renderer(), tokens), {"text": "a#b#", "labels": labels})
    assert isinstance(made, BadRow)
    assert re.search(words, made.problem)


def test_tokens_that_are_several_are_refused_at_once(make_renderer):
    with pytest.raises(ConfigurationError, match=r"prm.placeholderToken: '##' is not one token"):
        StepMaker(make_renderer(), "text", "labels", "##", ())
    with pytest.raises(ConfigurationError, match=r"prm.labelTokens: 'good' is not one token"):
        make_maker(make_renderer(), ("good", "-"))
