"""Turns of roles that share a worker group: who is awake when.

Generation and training alternate on shared devices. A role sleeps while the others work; for a
weight sync learner and engines are awake together, for as long as weights travel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Task = Literal["generate", "reference", "train", "sync"]


class Sleeper(Protocol):
    """A group of workers of one role that can give its devices to others."""

    def sleep(self) -> None: ...

    def wake(self) -> None: ...


@dataclass(frozen=True)
class Member:
    """A role that takes turns, and the tasks that it must be awake for."""

    workers: Sleeper
    tasks: frozenset[Task]


class Turns:
    """Puts to sleep whom the next task does not need, then wakes whom it needs."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._awake = set(range(len(members)))

    def begin(self, task: Task) -> None:
        """Makes ready for a task: those without part sleep before those with part wake."""
        needed = {i for i, member in enumerate(self._members) if task in member.tasks}
        for index in sorted(self._awake - needed):
            self._members[index].workers.sleep()
        for index in sorted(needed - self._awake):
            self._members[index].workers.wake()
        self._awake = needed
