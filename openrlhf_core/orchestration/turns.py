"""Turns of roles that share a worker group: which of them are awake.

Generation and training alternate on shared devices. A sleeping role uses no device memory; for a
weight sync the policy and the engines are awake together, as long as weights travel.
"""

from collections.abc import Mapping
from typing import Protocol

from openrlhf_core.spec.kinds.placement import Role


class Sleeper(Protocol):
    """The processes of one role, which can give their device memory back and take it again."""

    def sleep(self) -> None: ...

    def wake(self) -> None: ...


class Turns:
    """Puts roles to sleep that the next task does not need, then wakes those that it needs.

    `members` are the roles that take turns; every other role is always awake. A role counts as
    awake once `built` has been told that its models are loaded.
    """

    def __init__(self, members: Mapping[Role, Sleeper]) -> None:
        self._members = dict(members)
        self._awake: set[Role] = set()

    def built(self, role: Role) -> None:
        """Notes that a role has loaded its models and so uses its devices."""
        if role in self._members:
            self._awake.add(role)

    def ended(self, role: Role) -> None:
        """Notes that the processes of a role are gone."""
        self._awake.discard(role)
        self._members.pop(role, None)

    def begin(self, *roles: Role) -> None:
        """Makes ready for a task of `roles`: the others sleep first, then these wake."""
        needed = self._members.keys() & set(roles)
        for role in sorted(self._awake - needed):
            self._members[role].sleep()
        for role in sorted(needed - self._awake):
            self._members[role].wake()
        self._awake = set(needed)
