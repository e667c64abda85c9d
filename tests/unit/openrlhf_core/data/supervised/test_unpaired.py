"""Samples of KTO, and the mismatched pairs of a batch."""

import pytest

from openrlhf_core.data.reading.rows import BadRow
from openrlhf_core.data.supervised.samples import mismatched
from openrlhf_core.data.supervised.unpaired import UnpairedMaker


def make_maker(renderer) -> UnpairedMaker:
    return UnpairedMaker(renderer, "prompt", "response", "label")


@pytest.mark.parametrize(
    ("label", "is_desirable"),
    [(True, True), (1, True), (1.0, True), ("true", True), ("1", True), (" True ", True),
     (False, False), (0, False), ("FALSE", False), ("0.0", False)],
)  # fmt: skip
def test_a_label_is_true_or_false(make_renderer, make_one, label, is_desirable: bool):
    row = {"prompt": "a", "response": "b", "label": label}
    assert make_one(make_maker(make_renderer()), row).is_desirable is is_desirable


@pytest.mark.parametrize("label", ["good", 2, 0.5, None, [True]])
def test_other_labels_are_refused(make_renderer, make_one, label):
    made = make_one(make_maker(make_renderer()), {"prompt": "a", "response": "b", "label": label})
    assert isinstance(made, BadRow)
    assert "'label' is" in made.problem


def test_the_response_alone_is_trained_on(make_renderer, make_one, read_trained):
    maker = make_maker(make_renderer(chat=True))
    row = {"prompt": "a", "response": "b", "label": True}
    sample = make_one(maker, row)
    assert read_trained(sample.token_ids, sample.loss_mask)[1] == "b<|im_end|>"
    assert make_one(maker, row, max_length=10) is None


def test_each_prompt_meets_the_next_response(make_renderer, make_one, read_trained):
    maker = make_maker(make_renderer(template="{}: "))
    rows = [
        {"prompt": name, "response": name.upper(), "label": name == "a"} for name in ("a", "b", "c")
    ]
    pairs = mismatched([make_one(maker, row) for row in rows], max_length=100)
    assert [read_trained(pair.token_ids, pair.loss_mask) for pair in pairs] == [
        ("a: B<|im_end|>", "B<|im_end|>"),
        ("b: C<|im_end|>", "C<|im_end|>"),
        ("c: A<|im_end|>", "A<|im_end|>"),
    ]


def test_mismatched_pairs_are_cut_too(make_renderer, make_one):
    maker = make_maker(make_renderer())
    rows = [{"prompt": "ab", "response": "cde", "label": True}] * 2
    pairs = mismatched([make_one(maker, row) for row in rows], max_length=4)
    assert [len(pair.token_ids) for pair in pairs] == [len(pair.loss_mask) for pair in pairs]
    assert [len(pair.token_ids) for pair in pairs] == [4, 4]


def test_one_sample_has_no_mismatched_pair(make_renderer, make_one):
    row = {"prompt": "a", "response": "b", "label": True}
    assert mismatched([make_one(make_maker(make_renderer()), row)], max_length=100) == []
