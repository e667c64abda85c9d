"""One row of a dataset and the place it comes from."""

from dataclasses import dataclass
from typing import Any, Literal

from openrlhf_core.spec.exit_codes import ConfigurationError

Row = dict[str, Any]

BadRows = Literal["Fail", "Skip"]
"""What happens to a row that cannot be used: the run ends, or the row is left out and counted."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """Stands where a row could not be read."""

    problem: str
    """What is wrong and what to do, as `is not JSON: ...; fix or delete the line`."""


@dataclass(frozen=True, slots=True)
class PlacedRow:
    """A row and its place. Made by the readers, read by whoever makes samples.

    Example: PlacedRow("data/train.jsonl", "line", 12, {"prompt": "2+3="})
    """

    file: str
    unit: str
    """What `number` counts: "line" of a text file, or "row"."""
    number: int
    """From 1. A CSV row that spans several lines has the number of its first one."""
    content: Row | BadRow

    @property
    def place(self) -> str:
        """The file and the number, as `data/train.jsonl, line 12`."""
        return f"{self.file}, {self.unit} {self.number}"

    @property
    def row(self) -> Row:
        """The row's columns; ConfigurationError with file and number where it cannot be read."""
        if isinstance(self.content, BadRow):
            raise ConfigurationError(f"{self.place} {self.content.problem}")
        return self.content
