"""The text of a prompt: by the model's chat template, by an input template, or as it stands."""

from datetime import datetime
from typing import Any

from transformers import PreTrainedTokenizerBase

from openrlhf_core.data.chat_template import RENDER_ERRORS, ChatTemplate
from openrlhf_core.data.messages import read_messages
from openrlhf_core.data.reading.rows import PlacedRow, Row
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.data import DataSpec


def render_prompts(
    rows: list[PlacedRow], data: DataSpec, tokenizer: PreTrainedTokenizerBase, now: datetime
) -> list[str]:
    """The text of every prompt. `now` is the time that a chat template gets if it asks for it."""
    template = ChatTemplate(tokenizer, now) if data.apply_chat_template else None
    if template is not None and not tokenizer.chat_template:
        raise ConfigurationError(
            "data.applyChatTemplate is true but the tokenizer has no chat template; set "
            "model.policy.chatTemplate, or use data.inputTemplate"
        )
    texts = []
    for row in rows:
        try:
            value = _prompt_value(row.row, data.keys.prompt)
            text = _plain(value, data) if template is None else _chat(value, template)
            text.encode("utf-8")
        except RENDER_ERRORS as error:
            raise ConfigurationError(f"{row.place}: {error}") from error
        texts.append(text)
    return texts


def _prompt_value(row: Row, key: str) -> Any:
    if key not in row:
        known = ", ".join(map(repr, row)) or "none"
        raise ValueError(
            f"no column {key!r} (there are: {known}); add it, or name another in data.keys.prompt"
        )
    value = row[key]
    if not isinstance(value, str | list):
        kind = "null" if value is None else type(value).__name__
        raise ValueError(f"{key!r} is {kind}, neither a text nor a list of chat messages; fix it")
    if not value or (isinstance(value, str) and not value.strip()):
        raise ValueError(f"{key!r} is empty; write a prompt or delete the row")
    return value


def _plain(value: str | list[Any], data: DataSpec) -> str:
    if isinstance(value, list):
        raise ValueError("the prompt is a list of chat messages; set data.applyChatTemplate: true")
    if data.input_template is None:
        return value
    return data.input_template.replace("{}", value)


def _chat(value: str | list[Any], template: ChatTemplate) -> str:
    chat = [{"role": "user", "content": value}] if isinstance(value, str) else value
    messages = read_messages(chat)
    if messages[-1]["role"] == "assistant":
        raise ValueError(
            "the last chat message is the assistant's, which the model is to write; delete it"
        )
    return template.render(messages, add_generation_prompt=True)
