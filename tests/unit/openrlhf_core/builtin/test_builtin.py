"""The model, data and verifiers that ship with the package."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from openrlhf_core.builtin.catalogue import builtin_names, builtin_path
from openrlhf_core.builtin.make_data import DATASETS, write_data
from openrlhf_core.builtin.make_tiny import write_tiny
from openrlhf_core.builtin.verifiers import copy, digits, sums


def test_every_use_has_its_names():
    assert builtin_names("model") == ["tiny"]
    assert builtin_names("data") == ["copy", "digits", "pairs", "sums"]
    assert builtin_names("function") == ["copy", "digits", "sums"]


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="huge"):
        builtin_path("huge", "model")


def test_the_committed_model_is_what_the_script_makes(tmp_path: Path):
    write_tiny(tmp_path)
    committed = builtin_path("tiny", "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for path in committed.iterdir()
    )
    made, kept = (load_file(path / "model.safetensors") for path in (tmp_path, committed))
    assert made.keys() == kept.keys()
    assert all((made[name] == kept[name]).all() for name in made)
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (tmp_path / name).read_text() == (committed / name).read_text()


def test_the_committed_data_are_what_the_script_makes(tmp_path: Path):
    write_data(tmp_path)
    for name in DATASETS:
        assert (tmp_path / f"{name}.jsonl").read_text() == builtin_path(name, "data").read_text()


def test_the_tiny_model_loads_whole_and_tied():
    model = AutoModelForCausalLM.from_pretrained(builtin_path("tiny", "model"))
    assert sum(parameter.numel() for parameter in model.parameters()) == 312_448
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.config.hidden_size // model.config.num_attention_heads >= 32


def test_the_tiny_tokenizer_reads_one_token_a_character_and_writes_it_back():
    tokenizer = AutoTokenizer.from_pretrained(builtin_path("tiny", "model"))
    text = "What is 2 + 3?\n\t~"
    token_ids = tokenizer(text).input_ids
    assert len(token_ids) == len(text)
    assert tokenizer.decode(token_ids) == text
    assert len(tokenizer) == 128
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id) == (0, 1, 2)


def test_the_tiny_chat_template_ends_with_the_assistants_turn():
    tokenizer = AutoTokenizer.from_pretrained(builtin_path("tiny", "model"))
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<bos><user>hi<assistant>"


def test_every_label_of_sums_is_the_sum():
    for line in builtin_path("sums", "data").read_text().splitlines():
        row = json.loads(line)
        question = row["prompt"].removeprefix("What is ").partition("?")[0]
        left, right = question.split(" + ")
        assert int(row["label"]) == int(left) + int(right)


@pytest.mark.parametrize(
    ("completion", "score"),
    [("123", 1.0), ("12a4<eos>", 0.75), ("12<pad>", 2 / 3), ("", 0.0), ("<eos>", 0.0), ("²٣x", 0)],
)
def test_digits_scores_the_share_of_digits(completion: str, score: float):
    assert digits.reward_func(["ab: " + completion], ["ab: "], [""]) == [pytest.approx(score)]


def test_digits_ignores_digits_of_the_prompt():
    assert digits.reward_func(["99x"], ["99"], [""]) == [0.0]


@pytest.mark.parametrize(("completion", "score"), [("7777", 1.0), ("7a77<eos>", 0.75), ("", 0.0)])
def test_copy_scores_the_share_that_repeats_the_label(completion: str, score: float):
    assert copy.reward_func(["kf7>" + completion], ["kf7>"], ["7"]) == [score]


@pytest.mark.parametrize(
    ("completion", "score"),
    [("5", 1), ("2 + 3 = 5.<|im_end|>", 1), ("The sum is 5 or 6", 0), ("five", 0), ("-5", 0)],
)
def test_sums_scores_the_last_number(completion: str, score: float):
    assert sums.reward_func(["2+3=" + completion], ["2+3="], ["5"]) == [score]


def test_sums_survives_a_number_of_thousands_of_digits():
    assert sums.reward_func(["2+3=" + "9" * 10_000], ["2+3="], ["5"]) == [0.0]
