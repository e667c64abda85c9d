"""Reads YAML and JSON files as kubectl does, with the line of every field.

Limits bound the work for hostile files: MAX_BYTES of text, MAX_DEPTH levels and MAX_NODES values,
where an alias counts as all the values it refers to. Errors in a file are returned as problems.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from openrlhf_core.spec.kinds.rule import FieldPath
from openrlhf_core.spec.reading.json_strings import escape_json_strings
from openrlhf_core.spec.reading.yaml_scalars import resolve_plain, resolve_tagged

MAX_BYTES = 3 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 200_000
MAX_KEY_SHOWN = 80
MERGE_KEY = "<<"
NO_TAG = (None, "!")


@dataclass(frozen=True)
class ReadProblem:
    """Something in a file that cannot be read as plain data."""

    line: int
    """Counted from 1."""
    path: FieldPath
    message: str
    fix: str


@dataclass(frozen=True)
class Document:
    """One YAML document as plain data: dicts with text keys, lists, and scalars of JSON."""

    data: Any
    lines: Mapping[FieldPath, int]

    def line_of(self, path: FieldPath) -> int:
        """Line (from 1) of a field; where it is missing, that of the nearest parent in the file."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


@dataclass(frozen=True)
class YamlFile:
    """The documents of a file. Made by `read_yaml`. Empty documents are left out."""

    documents: tuple[Document, ...]
    problems: tuple[ReadProblem, ...]


def read_yaml(content: bytes) -> YamlFile:
    """Every document of a file, and every problem. Never raises because of the content."""
    if len(content) > MAX_BYTES:
        return _unreadable(1, f"the file is larger than {MAX_BYTES} bytes", "split it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return _unreadable(line, "the file is not UTF-8 text", "save it as UTF-8")
    reader = _Reader()
    try:
        documents = tuple(reader.documents(_events(text)))
    except _Stop as stop:
        return YamlFile((), (*reader.problems, stop.problem))
    except yaml.YAMLError as error:
        return YamlFile((), (*reader.problems, _syntax_problem(error, text)))
    return YamlFile(documents, tuple(reader.problems))


def path_text(path: FieldPath) -> str:
    """A field path as people write it: `spec.training.data.train[0].source`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif len(part) <= MAX_KEY_SHOWN and part.replace("_", "a").isalnum():
            text += f".{part}" if text else part
        else:
            text += f"[{_printable(part)}]"
    return text


def _printable(key: str) -> str:
    """A key in printable characters, so that a problem always fits on one line."""
    short = key if len(key) <= MAX_KEY_SHOWN else key[:MAX_KEY_SHOWN] + "..."
    return short if short.isprintable() else repr(short)[1:-1]


def _unreadable(line: int, message: str, fix: str) -> YamlFile:
    return YamlFile((), (ReadProblem(line, (), message, fix),))


def _events(text: str) -> Iterator[yaml.Event]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    events: Iterator[yaml.Event] = yaml.parse(escape_json_strings(text), Loader=loader)
    return events


def _syntax_problem(error: yaml.YAMLError, text: str) -> ReadProblem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        line = min(mark.line, text.count("\n")) + 1
    else:
        line = text[: getattr(error, "position", None) or 0].count("\n") + 1
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    return ReadProblem(line, (), f"not YAML: {reason}", "check the indentation and the quotes")


class _Stop(Exception):
    """Reading cannot continue. Caught in `read_yaml` only."""

    def __init__(self, line: int, path: FieldPath, message: str, fix: str) -> None:
        self.problem = ReadProblem(line, path, message, fix)


@dataclass
class _Reader:
    """Builds data from events. State: the anchors and lines of the current document."""

    problems: list[ReadProblem] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    lines: dict[FieldPath, int] = field(default_factory=dict)
    num_nodes: int = 0

    def documents(self, events: Iterator[yaml.Event]) -> Iterator[Document]:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors, self.lines = {}, {}
                data = self.value(next(events), events, ())
                if data is not None:
                    yield Document(data, self.lines)

    def value(self, event: yaml.Event, events: Iterator[yaml.Event], path: FieldPath) -> Any:
        """The value that begins with an event. Consumes the other events of the value."""
        line = _line(event)
        self.lines.setdefault(path, line)
        before = self.num_nodes
        self.count(1, line, path)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event.anchor or "", line, path)
        if isinstance(event, yaml.ScalarEvent):
            data = self.scalar(event, line, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            data = self.sequence(events, path)
        else:
            data = self.mapping(events, path)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self.anchors[event.anchor] = (data, self.num_nodes - before)
        return data

    def count(self, nodes: int, line: int, path: FieldPath) -> None:
        self.num_nodes += nodes
        if self.num_nodes > MAX_NODES:
            raise _Stop(
                line,
                path,
                f"the file stands for more than {MAX_NODES} values",
                "split it, or use fewer aliases",
            )
        if len(path) > MAX_DEPTH:
            raise _Stop(line, path[:8], f"nested deeper than {MAX_DEPTH} levels", "flatten it")

    def alias(self, anchor: str, line: int, path: FieldPath) -> Any:
        if anchor not in self.anchors:
            raise _Stop(
                line, path, f"the alias *{anchor} has no anchor before it", f"add &{anchor}"
            )
        data, nodes = self.anchors[anchor]
        self.count(nodes, line, path)
        return data

    def scalar(self, event: yaml.ScalarEvent, line: int, path: FieldPath) -> Any:
        try:
            if event.tag not in NO_TAG:
                return resolve_tagged(event.tag, event.value)
            return resolve_plain(event.value) if event.implicit[0] else event.value
        except ValueError as error:
            self.complain(line, path, str(error), "write a finite number, or put it in quotes")
            return None

    def sequence(self, events: Iterator[yaml.Event], path: FieldPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self.value(event, events, (*path, len(items))))
        return items

    def mapping(self, events: Iterator[yaml.Event], path: FieldPath) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            line = _line(event)
            is_merge = _is_merge_key(event)
            key = self.key(event, events, line, path)
            if not is_merge and key in own:
                self.complain(
                    line, (*path, key), "is written twice", "keep one and remove the other"
                )
            self.lines[*path, key] = line
            data = self.value(next(events), events, (*path, key))
            if is_merge:
                merged = {**self.merged(data, line, path), **merged}
            else:
                own[key] = data
        return {**merged, **own}

    def key(
        self, event: yaml.Event, events: Iterator[yaml.Event], line: int, path: FieldPath
    ) -> str:
        data = self.value(event, events, (*path, "<key>"))
        self.lines.pop((*path, "<key>"), None)
        if not isinstance(data, str):
            name = event.value if isinstance(event, yaml.ScalarEvent) else "a list or a map"
            self.complain(line, path, f"the key {name} is no text", "put it in quotes")
            return str(name)
        return data

    def merged(self, data: Any, line: int, path: FieldPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for item in data if isinstance(data, list) else [data]:
            if isinstance(item, dict):
                result = {**item, **result}
            else:
                self.complain(line, path, "<< takes a map", "write <<: *anchor of a map")
        return result

    def complain(self, line: int, path: FieldPath, message: str, fix: str) -> None:
        self.problems.append(ReadProblem(line, path, message, fix))


def _is_merge_key(event: yaml.Event) -> bool:
    return (
        isinstance(event, yaml.ScalarEvent) and bool(event.implicit[0]) and event.value == MERGE_KEY
    )


def _line(event: yaml.Event) -> int:
    return 1 if event.start_mark is None else event.start_mark.line + 1
