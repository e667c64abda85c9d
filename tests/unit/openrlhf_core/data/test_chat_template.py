"""Templates render the same text again, and decide what they make of contents that are no text."""

import random
from datetime import UTC, datetime

import pytest
from jinja2 import TemplateError

from openrlhf_core.builtin.catalogue import builtin_path
from openrlhf_core.data.chat_template import RENDER_ERRORS, ChatTemplate
from openrlhf_core.data.messages import read_messages
from openrlhf_core.data.tokenizer import load_tokenizer
from openrlhf_core.spec.exit_codes import ConfigurationError

DAY = datetime(2026, 11, 25, 23, 59, tzinfo=UTC)
NEXT_DAY = datetime(2026, 11, 26, 0, 1, tzinfo=UTC)
USER = {"role": "user", "content": "hi"}
CALLING = {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}
EACH = "{{% for m in messages %}}{}{{% endfor %}}"


def template_of(text: str, now: datetime = DAY) -> ChatTemplate:
    return ChatTemplate(load_tokenizer(builtin_path("tiny", "model"), text), now)


def render(text: str, *messages: dict, now: datetime = DAY) -> str:
    return template_of(text, now).render(read_messages(list(messages)))


def test_a_template_that_asks_for_the_date_gets_the_given_one():
    text = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y %H:%M') }}{% endif %}"
    assert render(text, USER) == "25 Nov 2026 23:59"
    assert render(text, USER, now=NEXT_DAY) == "26 Nov 2026 00:01"


def test_a_template_that_draws_gives_equal_messages_equal_texts():
    text = "{{ range(99999) | random }} {{ messages[0].content }}"
    state = random.getstate()
    first, second, other = (
        render(text, {"role": "user", "content": content}) for content in ("a", "a", "b")
    )
    assert first == second
    assert first.split()[0] != other.split()[0]
    assert random.getstate() == state


def test_the_generation_prompt_is_asked_for():
    template = template_of("{{ messages[0].content }}{% if add_generation_prompt %}>{% endif %}")
    assert [template.render([USER], flag) for flag in (False, True)] == ["hi", "hi>"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{% if m.content is none %}none{% else %}{{ m.content }}{% endif %}|", "hi|none|"),
        ("{% if m.content is string %}{{ m.content }}{% endif %}|", "hi||"),
        ("{% if m.content %}{{ m.content }}{% endif %}{{ m.tool_calls | length }}|", "hi0|1|"),
        ("{{ m.content or 'called' }}|", "hi|called|"),
        ("{% if m.tool_calls is defined %}call{% else %}{{ m.content }}{% endif %}|", "hi|call|"),
    ],
)
def test_the_template_decides_what_a_null_content_means(body: str, text: str):
    assert render(EACH.format(body), USER, CALLING) == text


def test_a_null_content_is_never_printed_as_none():
    assert render(EACH.format("{{ m.content }}|"), USER, CALLING) == "hi||"
    said = {"role": "user", "content": "None"}
    assert render(EACH.format("{{ m.content | trim }}|"), said, CALLING) == "None||"
    assert render(EACH.format("{{ m.content }}|"), said) == "None|"


@pytest.mark.parametrize(
    "fault", ["1 / 0", "range(1000000)", "messages[9].content.x", "{}.pop('x')"]
)
def test_whatever_a_template_raises_is_known(fault: str):
    with pytest.raises(RENDER_ERRORS):
        render("{{ " + fault + " }}", USER)


def test_a_template_that_cannot_render_a_null_content_says_so():
    with pytest.raises(TypeError, match="NoneType"):
        render(EACH.format("{{ m.content + '|' }}"), USER, CALLING)
    with pytest.raises(TemplateError, match="no tools here"):
        render(EACH.format("{{ raise_exception('no tools here') }}"), CALLING)


PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
READS_PARTS = (
    "{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}[{{ part.text }}]{% endfor %}{% endif %}"
)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (READS_PARTS, "[a][b]"),
        ("{{ m.content }}", "ab"),
        ("{{ m.content | tojson }}", '"ab"'),
        ("{{ m.content + '!' }}", "ab!"),
        ("{{ m.content | trim }}", "ab"),
    ],
)
def test_parts_go_to_templates_that_read_them_and_are_joined_for_others(body: str, text: str):
    assert render(EACH.format(body), {"role": "user", "content": PARTS}) == text


def test_a_tokenizer_without_a_template_says_so():
    tokenizer = load_tokenizer(builtin_path("tiny", "model"))
    tokenizer.chat_template = None
    with pytest.raises(ConfigurationError, match=r"set model.policy.chatTemplate"):
        _ = ChatTemplate(tokenizer, DAY).source
