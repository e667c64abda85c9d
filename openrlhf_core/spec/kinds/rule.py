"""`Rule`: a claim that crosses fields, in Python and in CEL. Each kind lists its rules as `RULES`.

A rule is about one spec class. `check` yields what is wrong in an instance of it, and `cel` says
the same of the object (`self`), after defaults are filled in. `openrlhf_core.spec.reading.rules`
collects the rules: the CRDs carry the CEL; `rlhf validate`, the driver and the operator use Python.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

FieldPath = tuple[str | int, ...]
"""Where a field is, by camelCase names and list indices: ("data", "train", 0, "source")."""


@dataclass(frozen=True)
class Violation:
    """What is wrong in an object, before its file and line are known."""

    path: FieldPath
    """Relative to what was judged."""
    message: str
    fix: str

    def below(self, path: FieldPath) -> "Violation":
        """The same, relative to an object that holds the judged one at `path`."""
        return Violation((*path, *self.path), self.message, self.fix)


@dataclass(frozen=True)
class Rule:
    """One claim about instances of a spec class."""

    on: type
    claim: str
    """What must hold, in a sentence; the API server's message."""
    reads: tuple[str, ...] = ()
    """Fields (dotted, relative) it reads: where one of them is wrong already, it is not judged."""
    check: Callable[[Any], Iterator[Violation]] | None = None
    """None: about edits of a stored object, which only the API server sees."""
    cel: str = ""


def at(field: str) -> FieldPath:
    """The path of a field that is written with dots."""
    return tuple(field.split("."))


def cel_list(names: Iterable[str]) -> str:
    """Names as a list literal of CEL: `['GRPO', 'RLOO']`."""
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"
