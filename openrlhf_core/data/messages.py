"""Chat messages as a template gets them, the same from every file format."""

from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]


def read_messages(value: Any) -> list[Message]:
    """The messages of a chat, ready for a template. ValueError when they are none.

    A Parquet or Arrow file stores every key that any message of the file has, as null where a
    message lacks it. So keys that are null are dropped, at every depth. Every message keeps
    `content`, null where it has tool calls alone: many templates ask for that.
    """
    if not isinstance(value, list) or not value:
        raise ValueError(
            "the chat is not a list of messages; write [{'role': ..., 'content': ...}]"
        )
    for number, message in enumerate(value, start=1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ValueError(
                f"chat message {number} is not of the form {{'role': ..., 'content': ...}}; fix it"
            )
    return [_completed(message, number) for number, message in enumerate(value, start=1)]


def _completed(message: Message, number: int) -> Message:
    kept = {
        key: without_nulls(item)
        for key, item in message.items()
        if item is not None or key == "content"
    }
    if kept.setdefault("content", None) is None and not set(kept) - {"role", "name", "content"}:
        raise ValueError(f"'content' of chat message {number} is missing; write it")
    return kept


def is_chat(value: Any) -> bool:
    """Whether a column holds chat messages rather than a text or something else."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and isinstance(item.get("role"), str) for item in value)
    )


def with_text_contents(messages: Sequence[Message]) -> list[Message]:
    """The messages with lists of text parts joined to one text, for templates that need texts.

    Example: content [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}] -> "ab"
    """
    return [
        {**message, "content": _joined(message["content"], number)}
        for number, message in enumerate(messages, start=1)
    ]


def _joined(content: Any, number: int) -> Any:
    if not isinstance(content, list) or not all(
        isinstance(part, dict) and "type" in part for part in content
    ):
        return content
    other = [part["type"] for part in content if not isinstance(part.get("text"), str)]
    if other:
        raise ValueError(
            f"chat message {number} has a part of type {other[0]!r}, and the chat template takes "
            "text only; delete the part"
        )
    return "".join(part["text"] for part in content)


def without_nulls(value: Any) -> Any:
    """The same value less the keys that are null, at every depth."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
