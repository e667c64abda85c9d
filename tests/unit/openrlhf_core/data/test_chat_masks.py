"""Masks of chats against the oracle, and on templates in the style of many models."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import TemplateError
from tokenizers import Tokenizer
from tokenizers_of_bytes import byte_tokenizer
from transformers import PreTrainedTokenizerFast

from openrlhf_core.data.chat_masks import MarkedText, TurnMarker
from openrlhf_core.data.chat_template import ChatTemplate
from openrlhf_core.data.encoding import Encoder
from openrlhf_core.data.messages import Message, read_messages

NOW = datetime(2026, 11, 25, tzinfo=UTC)
ORACLE = json.loads((Path(__file__).parents[3] / "oracle" / "sft_masks.json").read_text())
CHATS = [case for case in ORACLE["cases"] if "template" in case["settings"]]


def oracle_tokenizer(name: str, template: str) -> PreTrainedTokenizerFast:
    settings = dict(ORACLE["tokenizers"][name])
    made = Tokenizer.from_str(settings.pop("tokenizer_json"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **settings)
    tokenizer.chat_template = template
    return tokenizer


def assistant_turns(messages: list[Message]) -> list[int]:
    return [i for i, message in enumerate(messages) if message["role"] == "assistant"]


def spans_to_mask(spans: list[list[int]], length: int) -> np.ndarray:
    mask = np.zeros(length, dtype=bool)
    for start, end in spans:
        mask[start:end] = True
    return mask


@pytest.mark.parametrize("kind", ["plain", "tagged"])
@pytest.mark.parametrize("case", CHATS, ids=[case["name"] for case in CHATS])
def test_chats_of_the_oracle(case: dict[str, Any], kind: str):
    settings, expected = case["settings"], case["expected"]
    template = ORACLE["templates"][settings["template"]][kind]
    tokenizer = oracle_tokenizer(settings["tokenizer"], template)
    messages = read_messages(case["inputs"]["messages"])
    turns = assistant_turns(messages)
    if settings["loss_on"] == "LastAssistantTurn":
        turns = turns[-1:]
    marked = TurnMarker(ChatTemplate(tokenizer, NOW)).mark(messages, turns)
    ((ids, mask),) = Encoder(tokenizer).encode_marked([marked], add_prefix=False)
    length = min(len(ids), settings["max_length"] or len(ids))
    assert marked.text == expected["text"]
    assert ids[:length].tolist() == expected["token_ids"]
    wanted = spans_to_mask(expected["token_spans"], length)
    optional = spans_to_mask(expected["optional_token_spans"], length)
    assert ((mask[:length] == wanted) | optional).all()


HARMONY = (
    "{% for m in messages %}<|start|>{% if m.role == 'assistant' %}"
    "{% if m.thinking is defined and loop.last %}"
    "assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|><|start|>{% endif %}"
    "assistant<|channel|>final<|message|>{{ m.content }}"
    "{{ '<|return|>' if loop.last else '<|end|>' }}"
    "{% else %}{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
LLAMA_TOOLS = (
    "{{ bos_token }}{% for m in messages %}<|h|>{{ m.role }}<|/h|>\n\n"
    "{% if m.tool_calls is defined %}{% for call in m.tool_calls %}"
    '{"name": "{{ call.function.name }}", "parameters": {{ call.function.arguments | tojson }}}'
    "{% endfor %}<|eom|>{% else %}{{ m.content | trim }}<|eot|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|h|>assistant<|/h|>\n\n{% endif %}"
)
STRICT_TOOLS = (
    "{% set ns = namespace(calls=0) %}{% for m in messages %}{% if m.role == 'user' %}"
    "[INST] {{ m.content }}[/INST]{% elif m.role == 'tool' %}"
    "{% if not ns.calls %}{{ raise_exception('a result without a call') }}{% endif %}"
    "[RESULT]{{ m.content }}[/RESULT]{% elif m.tool_calls is defined %}{% set ns.calls = 1 %}"
    '[CALLS] [{% for c in m.tool_calls %}{"name": "{{ c.function.name }}", "arguments": '
    "{{ c.function.arguments | tojson }}, "
    "{% if c.id | length != 9 %}{{ raise_exception('ids have 9 characters') }}{% endif %}"
    '"id": "{{ c.id }}"}{% endfor %}]</s>'
    "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
)
HEADER_OF_THE_USER = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|U|>{{ m.content }}<|A|>"
    "{% else %}{{ m.content.split('</think>')[-1] }}<|eos|>{% endif %}{% endfor %}"
)
OPEN_THOUGHT = (
    "{% for m in messages %}{% if m.role == 'user' %}<|U|>{{ m.content }}{% else %}<|A|>"
    "{{ m.content if loop.last else m.content.split('</think>')[-1] }}"
    "<|eos|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|A|><think>\n{% endif %}"
)
NO_END = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
IN_WORDS = (
    "{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} {% else %}"
    "ASSISTANT: {{ m.content }}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
ALPACA = (
    "{% for m in messages %}{% if m.role == 'user' %}### Instruction:\n{{ m.content }}\n\n"
    "{% else %}### Response:\n{{ m.content }}\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}### Response:\n{% endif %}"
)
SYSTEM_BY_DEFAULT = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str | None, **more: Any) -> Message:
    return {"role": "assistant", "content": text, **more}


def call(name: str, identity: str = "abcdefghi", **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": identity, "type": "function", "function": function}


def trained(
    template: str, specials: str, eos: str, *messages: Message, last: bool = False
) -> list[str]:
    """The texts that are trained on, read back from the tokens."""
    tokenizer = byte_tokenizer(specials.split(), eos, template)
    if "bos_token" in template:
        tokenizer.bos_token = specials.split(maxsplit=1)[0]
    read = read_messages(list(messages))
    turns = assistant_turns(read)
    marked = TurnMarker(ChatTemplate(tokenizer, NOW)).mark(read, turns[-1:] if last else turns)
    ((ids, mask),) = Encoder(tokenizer).encode_marked([marked], add_prefix=False)
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False)).tolist()
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [str(tokenizer.decode(ids[start:end].tolist())) for start, end in pairs]


def test_channels_and_two_kinds_of_end_tokens():
    specials = "<|start|> <|channel|> <|message|> <|end|> <|return|>"
    final = "<|channel|>final<|message|>"
    chat = [user("a"), assistant("b"), user("c"), assistant("d", thinking="hm")]
    assert trained(HARMONY, specials, "<|return|>", *chat) == [
        f"{final}b<|end|>",
        f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant{final}d<|return|>",
    ]


def test_tool_calls_are_targets_and_results_are_not():
    specials = "<|bos|> <|h|> <|/h|> <|eot|> <|eom|>"
    tool = {"role": "tool", "content": "call: 7"}
    chat = [user("a"), assistant(None, tool_calls=[call("add", x=1)]), tool, assistant(" seven ")]
    assert trained(LLAMA_TOOLS, specials, "<|eot|>", *chat) == [
        '{"name": "add", "parameters": {"x": 1}}<|eom|>',
        "seven<|eot|>",
    ]


def test_calls_of_a_template_that_insists_on_them():
    specials = "[INST] [/INST] [CALLS] [RESULT] [/RESULT] </s>"
    tool = {"role": "tool", "content": "7"}
    chat = [user("a"), assistant("", tool_calls=[call("add", x="1")]), tool, assistant("7")]
    calls, answer = trained(STRICT_TOOLS, specials, "</s>", *chat)
    assert calls.endswith('add", "arguments": {"x": "1"}, "id": "abcdefghi"}]</s>')
    assert answer == "7</s>"


def test_a_header_that_the_users_turn_writes():
    chat = [user("a"), assistant("<think>hm</think>b"), user("c"), assistant("d")]
    texts = trained(HEADER_OF_THE_USER, "<|bos|> <|U|> <|A|> <|eos|>", "<|eos|>", *chat)
    assert texts == ["b<|eos|>", "d<|eos|>"]


def test_a_generation_prompt_that_earlier_turns_do_not_begin_with():
    chat = [
        user("a"),
        assistant("<think>\nx</think>b"),
        user("c"),
        assistant("<think>\ny</think>d"),
    ]
    texts = trained(OPEN_THOUGHT, "<|U|> <|A|> <|eos|>", "<|eos|>", *chat)
    assert texts == ["b<|eos|>", "<think>\ny</think>d<|eos|>"]


def test_a_template_without_end_tokens_gets_one_at_its_very_end():
    specials = "<|user|> <|assistant|> <eos>"
    chat = [user("a"), assistant("b"), user("c"), assistant("d")]
    assert trained(NO_END, specials, "<eos>", *chat) == ["b", "d<eos>"]
    assert trained(NO_END, specials, "<eos>", *chat, last=True) == ["d<eos>"]
    assert trained(NO_END, specials, "<eos>", *chat[:3]) == ["b"]
    assert trained(NO_END, specials, "<eos>", user("a"), assistant("b<eos>")) == ["b<eos>"]


def test_templates_of_plain_words():
    chat = [user("a"), assistant("b"), user("USER: c"), assistant("ASSISTANT: d")]
    assert trained(IN_WORDS, "</s>", "</s>", *chat) == [" b</s>", " ASSISTANT: d</s>"]
    assert trained(ALPACA, "</s>", "</s>", *chat) == ["b", "ASSISTANT: d\n\n</s>"]


def test_a_system_prompt_that_the_template_adds_is_no_target():
    chat = [user("a"), assistant("b"), user("c"), assistant("d")]
    specials = "<|im_start|> <|im_end|>"
    texts = trained(SYSTEM_BY_DEFAULT, specials, "<|im_end|>", *chat)
    assert texts == ["b<|im_end|>", "d<|im_end|>"]


def test_an_end_token_in_the_data_is_not_doubled():
    chat = [user("a"), assistant("b<|im_end|>"), user("c"), assistant("d<|im_end|>")]
    texts = trained(SYSTEM_BY_DEFAULT, "<|im_start|> <|im_end|>", "<|im_end|>", *chat)
    assert texts == ["b<|im_end|>", "d<|im_end|>"]


def test_contents_that_look_like_headers_and_ends():
    fake = "<|im_end|>\n<|im_start|>assistant\nfake"
    chat = [user(fake), assistant(fake), user(fake), assistant("<|im_start|>assistant\nreal")]
    texts = trained(SYSTEM_BY_DEFAULT, "<|im_start|> <|im_end|>", "<|im_end|>", *chat)
    assert texts == [f"{fake}<|im_end|>", "<|im_start|>assistant\nreal<|im_end|>"]


def test_a_turn_of_text_parts():
    parts = [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]
    specials = "<|im_start|> <|im_end|>"
    chat = [user("a"), {"role": "assistant", "content": parts}]
    assert trained(SYSTEM_BY_DEFAULT, specials, "<|im_end|>", *chat) == ["bc<|im_end|>"]
    reads_parts = SYSTEM_BY_DEFAULT.replace(
        "{{ m.content }}",
        "{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}",
    )
    assert trained(reads_parts, specials, "<|im_end|>", *chat) == ["[b][c]<|im_end|>"]


def test_a_turn_that_the_template_leaves_out_is_not_looked_for():
    last_only = "{% for m in messages[-2:] %}<|{{ m.role }}|>{{ m.content }}<eos>{% endfor %}"
    chat = [user("a"), assistant("b"), user("c"), assistant("d")]
    assert trained(last_only, "<|user|> <|assistant|> <eos>", "<eos>", *chat) == ["d<eos>"]


def test_a_tag_around_a_part_of_the_turn_decides():
    tagged = (
        "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}Well: "
        "{% generation %}{{ m.content }}{% endgeneration %}<eos>{% else %}{{ m.content }}"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    chat = [user("a"), assistant("b"), user("c"), assistant("d")]
    specials = "<|user|> <|assistant|> <eos>"
    assert trained(tagged, specials, "<eos>", *chat) == ["b<eos>", "d<eos>"]
    assert trained(tagged, specials, "<eos>", *chat, last=True) == ["d<eos>"]


def test_private_characters_in_the_data_do_no_harm():
    chat = [user("\ue000"), assistant("\ue0000\ue000 \ue001")]
    texts = trained(SYSTEM_BY_DEFAULT, "<|im_start|> <|im_end|>", "<|im_end|>", *chat)
    assert texts == ["\ue0000\ue000 \ue001<|im_end|>"]


def test_a_chat_that_the_template_refuses_says_so():
    refusing = "{% if messages | length > 4 %}{{ raise_exception('too long') }}{% endif %}"
    chat = [user("a"), assistant("b"), user("c"), assistant("d"), user("e")]
    with pytest.raises(TemplateError, match="too long"):
        trained(refusing, "<eos>", "<eos>", *chat)


def test_half_a_character_is_no_text():
    with pytest.raises(UnicodeEncodeError):
        trained(SYSTEM_BY_DEFAULT, "<|im_end|>", "<|im_end|>", user("a"), assistant("\ud800"))


def test_long_chats_are_marked_at_once():
    chat = [message for i in range(200) for message in (user(f"q{i}"), assistant(f"a{i}"))]
    texts = trained(SYSTEM_BY_DEFAULT, "<|im_start|> <|im_end|>", "<|im_end|>", *chat)
    assert texts == [f"a{i}<|im_end|>" for i in range(200)]


def test_a_marked_text_keeps_whole_tokens():
    tokenizer = byte_tokenizer(["<eos>"], "<eos>", merges=[("a", "b")])
    encoder = Encoder(tokenizer)
    ((ids, mask),) = encoder.encode_marked([MarkedText("xab", ((2, 3),))], add_prefix=False)
    assert tokenizer.convert_ids_to_tokens(ids.tolist()) == ["x", "ab"]
    assert mask.tolist() == [False, True]
