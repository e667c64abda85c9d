"""`Problem`: one thing that is wrong in a manifest, where it is and how to fix it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Made by `openrlhf_core.spec.reading.validate`, printed by the command."""

    file: str
    line: int
    """From 1."""
    field: str
    """As `spec.training.rl.groupSize`; empty where it is about the whole document."""
    message: str
    fix: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: "
        return place + (f"{self.field}: " if self.field else "") + f"{self.message}; {self.fix}"
