"""The text of a prompt: by the model's chat template, by an input template, or as it stands."""

from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from openrlhf_core.data.tables import Row, Table
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.data import DataSpec


def render_prompts(table: Table, data: DataSpec, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The text of every prompt, by the chat template, the input template or as it stands."""
    if data.apply_chat_template and not tokenizer.chat_template:
        raise ConfigurationError(
            "data.applyChatTemplate is true but the tokenizer has no chat template; set "
            "model.policy.chatTemplate, or use data.inputTemplate"
        )
    render = _render_chat if data.apply_chat_template else _render_text
    texts = []
    for index, row in enumerate(table.rows):
        try:
            text = render(_prompt_value(row, data.keys.prompt), data, tokenizer)
            text.encode("utf-8")
        except (ValueError, TypeError, TemplateError) as error:
            raise ConfigurationError(f"{table.place(index)}: {error}") from error
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
        raise ValueError(f"{key!r} is {kind}, neither a text nor a list of chat messages; mend it")
    if not value or (isinstance(value, str) and not value.strip()):
        raise ValueError(f"{key!r} is empty; write a prompt or delete the row")
    return value


def _render_text(value: str | list[Any], data: DataSpec, _: PreTrainedTokenizerBase) -> str:
    if isinstance(value, list):
        raise ValueError("the prompt is a list of chat messages; set data.applyChatTemplate: true")
    if data.input_template is None:
        return value
    return data.input_template.replace("{}", value)


def _render_chat(value: str | list[Any], data: DataSpec, tokenizer: PreTrainedTokenizerBase) -> str:
    messages = [{"role": "user", "content": value}] if isinstance(value, str) else value
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ValueError(
                f"chat message {number} is not of the form {{'role': ..., 'content': ...}}; mend it"
            )
        if not isinstance(message.get("content"), str):
            raise ValueError(f"'content' of chat message {number} is no text; mend it")
    if messages[-1]["role"] == "assistant":
        raise ValueError(
            "the last chat message is the assistant's, which the model is to write; delete it"
        )
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
