"""Token ids: one <bos> in front, no <eos> behind, no token that the model has not."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from openrlhf_core.data.encoding import Encoder, embedding_rows, tokenizer_digest

SPECIAL = ["<eos>", "<bos>", "<sop>", "<image>"]


def make_tokenizer(front: str = "<bos>", back: str = "", **names: str) -> PreTrainedTokenizerFast:
    """One token a letter; puts `front` before a text and `back` behind it, as GLM does."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *"abc "])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.add_special_tokens(SPECIAL)
    made.post_processor = processors.TemplateProcessing(
        single=f"{front} $A {back}".strip(),
        special_tokens=[(token, vocabulary[token]) for token in SPECIAL],
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<eos>", **names)


def encode(tokenizer: PreTrainedTokenizerFast, text: str, add_prefix: bool = True) -> list[int]:
    (ids,) = Encoder(tokenizer).encode([text], add_prefix)
    assert ids.dtype == np.int32
    return ids.tolist()


@pytest.mark.parametrize(
    ("front", "back", "text", "ids"),
    [
        ("<bos>", "", "ab", [1, 4, 5]),
        ("<bos>", "", "<bos>ab", [1, 4, 5]),
        ("<bos>", "", "<bos><bos>ab", [1, 1, 4, 5]),
        ("<bos>", "", "a<bos>b", [1, 4, 1, 5]),
        ("<bos>", "<eos>", "ab", [1, 4, 5]),
        ("<bos>", "<eos>", "ab<eos>", [1, 4, 5, 0]),
        ("", "<eos>", "ab", [4, 5]),
        ("", "", "<bos>ab", [1, 4, 5]),
        ("<bos> <sop>", "", "ab", [1, 2, 4, 5]),
        ("<bos> <sop>", "", "<bos><sop>ab", [1, 2, 4, 5]),
    ],
)
def test_special_tokens_stand_in_front_once(front: str, back: str, text: str, ids: list[int]):
    assert encode(make_tokenizer(front, back), text) == ids


def test_a_rendered_chat_gets_none():
    assert encode(make_tokenizer(), "ab", add_prefix=False) == [4, 5]


def test_a_tokenizer_that_does_not_know_the_letter_a_still_tells_its_prefix():
    made = make_tokenizer("<bos>", "<eos>")
    content = json.loads(made.backend_tokenizer.to_str())
    content["model"]["vocab"] = {"?" if k == "a" else k: v for k, v in
                                 content["model"]["vocab"].items()}  # fmt: skip
    other = Tokenizer.from_str(json.dumps(content))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=other, eos_token="<eos>")
    assert encode(tokenizer, "b") == [1, 5]


def test_truncation_and_padding_of_the_tokenizers_file_do_not_apply():
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=9)
    assert encode(tokenizer, "abcabc") == [1, 4, 5, 6, 4, 5, 6]


def test_a_token_beyond_the_embedding_is_named(tmp_path: Path):
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<new>"]})
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"vocab_size": 8}')
    encoder = Encoder(PreTrainedTokenizerFast.from_pretrained(tmp_path))
    known, unknown, empty = encoder.encode(["abc", "a<new>b", ""], add_prefix=False)
    assert encoder.unknown_token(known) is None
    assert encoder.unknown_token(empty) is None
    answer = encoder.unknown_token(unknown)
    assert answer is not None
    assert "the token '<new>' has id 8, and the model's embedding has only 8 rows" in answer


def test_without_a_config_every_token_is_known():
    encoder = Encoder(make_tokenizer())
    assert encoder.unknown_token(np.asarray([10_000], dtype=np.int32)) is None


@pytest.mark.parametrize(
    ("config", "rows"),
    [
        ('{"vocab_size": 9}', 9),
        ('{"text_config": {"vocab_size": 7}}', 7),
        ('{"text_config": null}', None),
        ("[]", None),
        ("{", None),
    ],
)
def test_the_embeddings_rows_are_read_from_the_config(tmp_path: Path, config: str, rows: int):
    (tmp_path / "config.json").write_text(config)
    assert embedding_rows(tmp_path) == rows


def test_the_digest_tells_tokenizers_and_templates_apart():
    same, again, fronted = make_tokenizer(), make_tokenizer(), make_tokenizer("<sop>")
    named, templated = make_tokenizer(bos_token="<bos>"), make_tokenizer()
    templated.chat_template = "x"
    digests = [tokenizer_digest(each) for each in (same, again, fronted, named, templated)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4
