"""Samples of preferences: pairs of responses to one prompt."""

import re
from typing import Any

import pytest

from openrlhf_core.data.reading.rows import BadRow
from openrlhf_core.data.supervised.preference import PreferenceMaker

USER = {"role": "user", "content": "a"}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def make_maker(renderer, prompt: str | None = "prompt", margin: str | None = None):
    return PreferenceMaker(renderer, prompt, "chosen", "rejected", margin)


def trained_of(pair: Any, read_trained) -> tuple[str, str]:
    chosen = read_trained(pair.chosen_ids, pair.chosen_mask)[1]
    return chosen, read_trained(pair.rejected_ids, pair.rejected_mask)[1]


def test_texts_share_their_prompt(make_renderer, make_one, read_trained):
    maker = make_maker(make_renderer(template="Q: {} A: "))
    pair = make_one(maker, {"prompt": "a", "chosen": "yes", "rejected": "no"})
    assert trained_of(pair, read_trained) == ("yes<|im_end|>", "no<|im_end|>")
    assert read_trained(pair.chosen_ids, pair.chosen_mask)[0] == "Q: a A: yes<|im_end|>"
    assert pair.margin == 0.0


@pytest.mark.parametrize(
    ("prompt", "row"),
    [
        ("prompt", {"prompt": "a", "chosen": "yes", "rejected": "no"}),
        ("prompt", {"prompt": [USER], "chosen": [assistant("yes")], "rejected": "no"}),
        # The whole chat beside its prompt, as many published datasets have it.
        ("prompt", {"prompt": "a", "chosen": [USER, assistant("yes")], "rejected": "no"}),
        (None, {"chosen": [USER, assistant("yes")], "rejected": [USER, assistant("no")]}),
    ],
)
def test_chats_in_every_form_give_the_same_pair(make_renderer, make_one, read_trained, prompt, row):
    pair = make_one(make_maker(make_renderer(chat=True), prompt), row)
    whole = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n"
    assert read_trained(pair.chosen_ids, pair.chosen_mask)[0] == whole
    assert trained_of(pair, read_trained) == ("yes<|im_end|>", "no<|im_end|>")


def test_earlier_turns_of_the_assistant_are_prompt(make_renderer, make_one, read_trained):
    begin = [USER, assistant("both"), USER]
    row = {"chosen": [*begin, assistant("yes")], "rejected": [*begin, assistant("no")]}
    pair = make_one(make_maker(make_renderer(chat=True), None), row)
    assert trained_of(pair, read_trained) == ("yes<|im_end|>", "no<|im_end|>")


def test_chats_that_part_early_are_learned_from_there(make_renderer, make_one, read_trained):
    chosen = [USER, assistant("1"), USER, assistant("2")]
    row = {"chosen": chosen, "rejected": [USER, assistant("3")]}
    pair = make_one(make_maker(make_renderer(chat=True), None), row)
    assert trained_of(pair, read_trained) == ("1<|im_end|>2<|im_end|>", "3<|im_end|>")


def test_equal_chats_still_have_a_response(make_renderer, make_one, read_trained):
    row = {"chosen": [USER, assistant("x")], "rejected": [USER, assistant("x")]}
    pair = make_one(make_maker(make_renderer(chat=True), None), row)
    assert trained_of(pair, read_trained) == ("x<|im_end|>", "x<|im_end|>")


def test_whole_texts_without_a_prompt(make_renderer, make_one, read_trained):
    pair = make_one(make_maker(make_renderer(), None), {"chosen": "ab", "rejected": "ac"})
    assert trained_of(pair, read_trained) == ("b<|im_end|>", "c<|im_end|>")


def test_both_responses_are_cut_and_neither_may_be_lost(make_renderer, make_one, read_trained):
    maker = make_maker(make_renderer())
    row = {"prompt": "abc", "chosen": "defg", "rejected": "h"}
    pair = make_one(maker, row, max_length=5)
    assert trained_of(pair, read_trained) == ("de", "h<|im_end|>")
    assert make_one(maker, row, max_length=3) is None


def test_margins_are_numbers(make_renderer, make_one):
    maker = make_maker(make_renderer(), margin="gap")
    row = {"prompt": "a", "chosen": "b", "rejected": "c"}
    assert make_one(maker, {**row, "gap": 2}).margin == 2.0
    assert make_one(maker, {**row, "gap": "-0.5"}).margin == -0.5
    for wrong in ("much", True, [1], float("nan"), float("inf")):
        made = make_one(maker, {**row, "gap": wrong})
        assert isinstance(made, BadRow)
        assert "not a number" in made.problem


@pytest.mark.parametrize(
    ("row", "chat", "words"),
    [
        ({"chosen": "a"}, False, "no column 'rejected'"),
        ({"chosen": [USER, assistant("x")], "rejected": "y"}, True, "name the column of the pro"),
        ({"chosen": [USER], "rejected": [assistant("x")]}, True, "no message of the assistant"),
        ({"chosen": [USER, assistant("x")], "rejected": "y"}, False, "set data.applyChatTemplate"),
    ],
)
def test_a_wrong_row_says_what_is_wrong(make_renderer, make_one, row, chat: bool, words: str):
    made = make_one(make_maker(make_renderer(chat=chat), None), row)
    assert isinstance(made, BadRow)
    assert re.search(words, made.problem)
