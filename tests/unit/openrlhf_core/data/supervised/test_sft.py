"""Samples of SFT: the oracle's prompts, responses and texts; whole chats."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from openrlhf_core.data.reading.rows import BadRow
from openrlhf_core.data.supervised.renderer import LossOn, TextRenderer
from openrlhf_core.data.supervised.sft import SFTMaker

ORACLE = json.loads((Path(__file__).parents[4] / "oracle" / "sft_masks.json").read_text())
ROWS = [case for case in ORACLE["cases"] if "input_template" in case["settings"]]
CUT = [case for case in ORACLE["cases"] if case["name"].startswith("truncated")]


def oracle_maker(settings: dict[str, Any], response: bool, chat: bool) -> SFTMaker:
    kept = dict(ORACLE["tokenizers"][settings["tokenizer"]])
    made = Tokenizer.from_str(kept.pop("tokenizer_json"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **kept)
    if chat:
        tokenizer.chat_template = ORACLE["templates"][settings["template"]]["plain"]
    loss_on: LossOn = settings["loss_on"] if chat else "AssistantTurns"
    return SFTMaker(
        TextRenderer(tokenizer, chat, settings.get("input_template"), datetime.now(UTC)),
        prompt="input",
        response="output" if response else None,
        messages="messages" if chat else None,
        loss_on=loss_on,
    )


@pytest.mark.parametrize("case", ROWS + CUT, ids=[case["name"] for case in ROWS + CUT])
def test_rows_of_the_oracle(case: dict[str, Any], make_one):
    settings, expected, row = case["settings"], case["expected"], case["inputs"]
    maker = oracle_maker(settings, "output" in row, "messages" in row)
    sample = make_one(maker, row, settings["max_length"] or 1000)
    if not expected["token_spans"]:
        assert sample is None
        return
    assert sample.token_ids.tolist() == expected["token_ids"]
    trained = [t for start, end in expected["token_spans"] for t in range(start, end)]
    assert sample.loss_mask.nonzero()[0].tolist() == trained


def make_maker(renderer: TextRenderer, **changes: Any) -> SFTMaker:
    settings = {"prompt": "prompt", "response": "response", "messages": None, **changes}
    return SFTMaker(renderer, **{"loss_on": "AssistantTurns", **settings})


def test_a_prompt_and_a_response_become_a_chat(make_renderer, make_one, read_trained):
    maker = make_maker(make_renderer(chat=True))
    sample = make_one(maker, {"prompt": "a", "response": "b"})
    whole = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
    assert read_trained(sample.token_ids, sample.loss_mask) == (whole, "b<|im_end|>")
    system = [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}]
    sample = make_one(
        maker, {"prompt": system, "response": [{"role": "assistant", "content": "b"}]}
    )
    assert read_trained(sample.token_ids, sample.loss_mask)[1] == "b<|im_end|>"


def test_all_tokens_but_the_first_are_trained_on_when_asked(make_renderer, make_one, read_trained):
    row = {"prompt": "ab", "response": "cd", "chat": [{"role": "user", "content": "hi"}]}
    both = make_one(make_maker(make_renderer(), loss_on="AllTokens"), row)
    assert read_trained(both.token_ids, both.loss_mask) == ("abcd<|im_end|>", "bcd<|im_end|>")
    plain = make_one(make_maker(make_renderer(), response=None), row)
    assert read_trained(plain.token_ids, plain.loss_mask) == ("ab", "b")
    maker = make_maker(make_renderer(chat=True), messages="chat", loss_on="AllTokens")
    chat = make_one(maker, row)
    assert chat.loss_mask.tolist() == [False] + [True] * (len(chat.token_ids) - 1)


@pytest.mark.parametrize(
    ("row", "changes", "words"),
    [
        ({"response": "b"}, {}, "no column 'prompt'"),
        ({"prompt": "a"}, {}, "no column 'response' .there are: 'prompt'.; add it, or name"),
        ({"prompt": "a", "response": ""}, {}, "'response' is empty"),
        ({"prompt": None, "response": "b"}, {}, "'prompt' is null"),
        ({"prompt": 3, "response": "b"}, {}, "the prompt is of type int"),
        ({"prompt": [{"role": "user"}], "response": "b"}, {}, "set data.applyChatTemplate"),
        ({"chat": [{"role": "user", "content": "a"}]}, {"messages": "chat"}, "set data.app"),
        (
            {"chat": [{"role": "user", "content": "a"}]},
            {"messages": "chat", "chat": True},
            "no message of",
        ),
        ({"chat": "text"}, {"messages": "chat", "chat": True}, "is not a list of messages"),
        ({"prompt": "a"}, {"response": None}, "no token of it is trained on"),
        ({"prompt": "\ud800a"}, {"response": None}, "surrogates not allowed"),
    ],
)
def test_a_wrong_row_says_what_is_wrong(make_renderer, make_one, row, changes, words: str):
    changes = dict(changes)
    renderer = make_renderer(chat=changes.pop("chat", False))
    made = make_one(make_maker(renderer, **changes), row)
    assert isinstance(made, BadRow)
    assert re.search(words, made.problem)
