"""`Problem`: one thing that is wrong in a manifest, where it stands and how to mend it."""

from dataclasses import dataclass

from openrlhf_core.spec.reading.yaml_reader import Path


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


@dataclass(frozen=True)
class Violation:
    """A problem before its file and line are known; `path` is relative to what was judged."""

    path: Path
    message: str
    fix: str

    def below(self, path: Path) -> "Violation":
        return Violation((*path, *self.path), self.message, self.fix)
