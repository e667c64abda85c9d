"""`Problem`: one thing that is wrong in a manifest, where it is and how to fix it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Made by `openrlhf_core.spec.reading.validate`, printed by the commands."""

    file: str
    line: int
    """Counted from 1."""
    field: str
    """For example `spec.training.rl.groupSize`; empty for the whole document."""
    message: str
    fix: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: "
        return place + (f"{self.field}: " if self.field else "") + f"{self.message}; {self.fix}"
