"""The tokenizer that a model directory holds, and queries for reward functions."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sample_builders import make_rollout
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from openrlhf_core.builtin.catalogue import builtin_path
from openrlhf_core.data.tokenizer import load_tokenizer, query_texts, read_chat_template
from openrlhf_core.samples import Prompt, Rollout
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.model import ChatTemplateSpec

TINY = builtin_path("tiny", "model")


def copied(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    shutil.copytree(TINY, directory)
    return directory


def edit(file: Path, **changes: object) -> None:
    content = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def rollout_of(tokenizer, prompt: str, completion_ids: list[int]) -> Rollout:
    ids = np.asarray(tokenizer(prompt).input_ids, dtype=np.int32)
    return make_rollout(Prompt(0, prompt, ids), completion_ids)


def test_the_tiny_tokenizer_loads_with_its_template():
    tokenizer = load_tokenizer(TINY)
    assert tokenizer.pad_token_id == 0
    assert tokenizer.chat_template


def test_a_chat_template_of_the_manifest_takes_the_place_of_the_models(tmp_path: Path):
    file = tmp_path / "chat.jinja"
    file.write_text("{{ messages[0]['content'] }}!")
    locator = Locator(tmp_path)
    by_file = read_chat_template(ChatTemplateSpec(source="chat.jinja"), locator)
    by_text = read_chat_template(ChatTemplateSpec(text="{{ messages[0]['content'] }}!"), locator)
    assert by_file == by_text
    tokenizer = load_tokenizer(TINY, chat_template=by_file)
    messages = [{"role": "user", "content": "hi"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == "hi!"
    assert read_chat_template(None, locator) is None


def test_a_chat_template_that_is_no_text_says_so(tmp_path: Path):
    (tmp_path / "chat.jinja").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="cannot be read as UTF-8"):
        read_chat_template(ChatTemplateSpec(source="chat.jinja"), Locator(tmp_path))


def test_a_missing_padding_token_becomes_the_end_token(tmp_path: Path):
    directory = copied(tmp_path)
    edit(
        directory / "tokenizer_config.json",
        pad_token=None,
        tokenizer_class="PreTrainedTokenizerFast",
    )
    tokenizer = load_tokenizer(directory)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 1


def test_a_directory_without_a_tokenizer_says_so(tmp_path: Path):
    directory = copied(tmp_path)
    (directory / "tokenizer.json").unlink()
    with pytest.raises(ConfigurationError, match="holds no tokenizer; copy"):
        load_tokenizer(directory)


def test_a_broken_tokenizer_says_so(tmp_path: Path):
    directory = copied(tmp_path)
    (directory / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        load_tokenizer(directory)


def test_a_tokenizer_of_another_model_says_so(tmp_path: Path):
    directory = copied(tmp_path)
    edit(directory / "config.json", vocab_size=64)
    with pytest.raises(ConfigurationError, match="knows 128 tokens, the model 64"):
        load_tokenizer(directory)


def test_queries_begin_with_the_prompt_and_write_out_special_tokens():
    tokenizer = load_tokenizer(TINY)
    rollouts = [
        rollout_of(tokenizer, "2+3=", [*tokenizer("5").input_ids, tokenizer.eos_token_id]),
        rollout_of(tokenizer, "ab ", tokenizer(" c d").input_ids),
    ]
    assert query_texts(tokenizer, rollouts) == ["2+3=5<eos>", "ab  c d"]


def test_queries_keep_a_first_blank_that_decoding_alone_would_drop():
    vocabulary = {"<unk>": 0, "</s>": 1, "▁say": 2, "▁it": 3}
    sentence_piece = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    sentence_piece.pre_tokenizer = pre_tokenizers.Metaspace()
    sentence_piece.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=sentence_piece, eos_token="</s>")
    assert tokenizer.decode([3]) == "it"
    assert query_texts(tokenizer, [rollout_of(tokenizer, "say", [3])]) == ["say it"]


def test_a_character_split_between_prompt_and_completion_leaves_the_prompt_whole():
    tokenizer = load_tokenizer(TINY)
    first, second = tokenizer("é").input_ids
    halved = Prompt(0, "x", np.asarray([first], dtype=np.int32))
    rollout = make_rollout(halved, [second])
    assert query_texts(tokenizer, [rollout])[0].startswith("x")
