"""Token ids: one <bos> in front, no <eos> behind, no token that the model has not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers_of_bytes import byte_tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.tokenization_python import PythonBackend

from openrlhf_core.data.chat_masks import MarkedText
from openrlhf_core.data.encoding import Encoder, embedding_rows, tokenizer_digest
from openrlhf_core.spec.exit_codes import ConfigurationError

MERGING = byte_tokenizer(["<eos>"], "<eos>", merges=[("a", "b"), ("Ġ", "a"), ("Ċ", "Ċ")])


class LetterTokenizer(PythonBackend):
    """A tokenizer in Python, as some models bring; it does not say where tokens stand."""

    def __init__(self, **settings: Any) -> None:
        self._tokens = ["<eos>", "a", "b"]
        super().__init__(**settings)

    @property
    def vocab_size(self) -> int:
        return len(self._tokens)

    def get_vocab(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self._tokens)}

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return self._tokens.index(token)

    def _convert_id_to_token(self, index: int) -> str:
        return self._tokens[index]


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


def encode(tokenizer: PreTrainedTokenizerBase, text: str, add_prefix: bool = True) -> list[int]:
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


TEXTS = st.text(st.sampled_from("ab ü🙂\n"), max_size=12)


@given(TEXTS, TEXTS, TEXTS)
def test_a_token_is_trained_on_when_it_holds_a_character_of_the_span(
    before: str, inside: str, behind: str
):
    start, end = len(before), len(before + inside)
    marked = MarkedText(before + inside + behind, ((start, end),))
    ((ids, mask),) = Encoder(MERGING).encode_marked([marked], add_prefix=False)
    encoding = MERGING.backend_tokenizer.encode(marked.text, add_special_tokens=False)
    wanted = [max(a, start) < min(b, end) for a, b in encoding.offsets]
    assert ids.tolist() == encoding.ids
    assert mask.tolist() == [False, *wanted[1:]][: len(ids)]


def test_the_prefix_is_not_trained_on():
    tokenizer = make_tokenizer()
    ((ids, mask),) = Encoder(tokenizer).encode_marked([MarkedText("ab", ((0, 2),))], True)
    assert (ids.tolist(), mask.tolist()) == ([1, 4, 5], [False, True, True])
    ((ids, mask),) = Encoder(tokenizer).encode_marked([MarkedText("<bos>ab", ((0, 7),))], True)
    assert (ids.tolist(), mask.tolist()) == ([1, 4, 5], [False, True, True])


def test_blanks_that_a_post_processor_trims_from_places_still_count():
    # Llama 3's and GPT-2's tokenizers say that a token " a" stands where its letter stands.
    tokenizer = byte_tokenizer(["<eos>"], "<eos>", merges=[("Ġ", "a")])
    trimming = processors.ByteLevel(trim_offsets=True)
    tokenizer.backend_tokenizer.post_processor = trimming
    marked = MarkedText("b\n a\n", ((2, 5),))
    ((ids, mask),) = Encoder(tokenizer).encode_marked([marked], add_prefix=False)
    assert tokenizer.convert_ids_to_tokens(ids.tolist()) == ["b", "Ċ", "Ġa", "Ċ"]
    assert mask.tolist() == [False, False, True, True]


def test_characters_that_a_normalizer_drops_do_no_harm():
    tokenizer = byte_tokenizer(["<eos>"], "<eos>")
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("x", "")
    marked = MarkedText("axbxc", ((1, 3),))
    ((ids, mask),) = Encoder(tokenizer).encode_marked([marked], add_prefix=False)
    assert tokenizer.decode(ids.tolist()) == "abc"
    assert mask.tolist() == [False, True, False]


def test_a_tokenizer_that_does_not_tell_places_is_refused():
    tokenizer = LetterTokenizer(eos_token="<eos>")
    assert encode(tokenizer, "ab") == [1, 2]
    with pytest.raises(ConfigurationError, match="needs one with a tokenizer"):
        Encoder(tokenizer).encode_marked([MarkedText("a", ((0, 1),))], False)
