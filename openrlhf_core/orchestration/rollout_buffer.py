"""Keeps rollouts between generation and learning: those under way, and those that wait."""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from openrlhf_core.engines.protocols import Completion, RequestId


class RolloutBuffer:
    """Requests and their completions, from submission until the recipe takes them.

    Completions come in any order and are taken in the order of submission. `capacity` bounds how
    far generation runs ahead of learning: with one step's completions, the policy that learns from
    a completion is the one that made it.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._order: deque[RequestId] = deque()
        self._complete: dict[RequestId, Completion] = {}

    @property
    def room(self) -> int:
        """How many more requests may be submitted."""
        return self._capacity - len(self._order)

    def expect(self, request_ids: Sequence[RequestId]) -> None:
        """Notes requests that are submitted now."""
        if len(request_ids) > self.room:
            raise ValueError(
                f"{len(request_ids)} requests do not fit a rollout buffer with room for {self.room}"
            )
        self._order.extend(request_ids)

    def add(self, completion: Completion) -> None:
        """Keeps a completion until it is taken."""
        self._complete[completion.request_id] = completion

    def drop(self, request_ids: Sequence[RequestId]) -> None:
        """Forgets requests that were aborted, and their completions if there are any."""
        dropped = set(request_ids)
        self._order = deque(each for each in self._order if each not in dropped)
        for request_id in dropped:
            self._complete.pop(request_id, None)

    def is_ready(self, count: int) -> bool:
        """Whether the oldest `count` requests are all complete."""
        if count > len(self._order):
            raise ValueError(f"{count} completions are asked for, {len(self._order)} submitted")
        return all(each in self._complete for each in islice(self._order, count))

    def take(self, count: int) -> list[Completion]:
        """Removes and returns the completions of the oldest `count` requests, which are ready."""
        return [self._complete.pop(self._order.popleft()) for _ in range(count)]
