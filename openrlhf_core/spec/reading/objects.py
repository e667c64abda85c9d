"""The objects of a file: its YAML documents, with the items of lists as objects of their own.

`kubectl get -o yaml` writes several objects as one document of kind List, and kubectl reads the
items of such a document one by one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from openrlhf_core.spec.kinds.rule import FieldPath
from openrlhf_core.spec.reading.yaml_reader import Document, YamlFile, read_yaml


def read_objects(content: bytes) -> YamlFile:
    """The objects of a file, as `read_yaml` reads them; paths and lines are those of the items."""
    file = read_yaml(content)
    return replace(file, documents=tuple(_objects(file.documents)))


def _objects(documents: tuple[Document, ...]) -> Iterator[Document]:
    for document in documents:
        if _is_list(document.data):
            yield from _objects(_items(document))
        else:
            yield document


def _is_list(data: Any) -> bool:
    """Whether a document is a v1 List, or a list of one kind such as RLHFJobList."""
    if not isinstance(data, Mapping) or not isinstance(data.get("items"), list):
        return False
    return isinstance(data.get("kind"), str) and data["kind"].endswith("List")


def _items(document: Document) -> tuple[Document, ...]:
    items: list[Any] = document.data["items"]
    lines: list[dict[FieldPath, int]] = [{(): document.line_of(("items",))} for _ in items]
    for path, line in document.lines.items():
        if len(path) > 1 and path[0] == "items" and isinstance(path[1], int):
            lines[path[1]][path[2:]] = line
    return tuple(Document(item, where) for item, where in zip(items, lines, strict=True))
