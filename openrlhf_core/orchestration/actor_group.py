"""The Ray actors of one role: started on their seats, named, called together, ended.

A group calls actors by a function that starts one call, as
`group.all(lambda actor: actor.sleep.remote())`, so that method names stand in code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import ray

from openrlhf_core.orchestration.collect import Call, Collect
from openrlhf_core.orchestration.placement import Reservation, Seat

T = TypeVar("T")


class ActorGroup:
    """The actors of one role, in rank order.

    `label` names one of them in messages, as `policy rank` in "policy rank 1 is lost".
    """

    def __init__(self, label: str, actors: Sequence[Any], collect: Collect) -> None:
        self._label = label
        self._actors = actors
        self._collect = collect

    def __len__(self) -> int:
        return len(self._actors)

    def calls(self, call: Callable[[Any], Any]) -> list[Call]:
        """Starts `call` on every actor."""
        return [Call(self.name(rank), call(actor)) for rank, actor in enumerate(self._actors)]

    def calls_with(self, call: Callable[[Any, T], Any], arguments: Sequence[T]) -> list[Call]:
        """Starts `call` on every actor with the argument of its rank."""
        pairs = zip(self._actors, arguments, strict=True)
        return [Call(self.name(rank), call(*pair)) for rank, pair in enumerate(pairs)]

    def call(self, rank: int, call: Callable[[Any], Any]) -> Call:
        """Starts `call` on one actor."""
        return Call(self.name(rank), call(self._actors[rank]))

    def all(self, call: Callable[[Any], Any]) -> list[Any]:
        """Calls every actor and waits, a request to stop notwithstanding; results by rank."""
        return self._collect(self.calls(call), finish=True)

    def first(self, call: Callable[[Any], Any]) -> Any:
        """Calls rank 0 alone and waits for its answer."""
        return self._collect([Call(self.name(0), call(self._actors[0]))], finish=True)[0]

    def tell(self, call: Callable[[Any], Any]) -> None:
        """Starts `call` on every actor and waits for no answer."""
        for actor in self._actors:
            call(actor)

    def sleep(self) -> None:
        """Makes every actor give its device memory back."""
        self.all(lambda actor: actor.sleep.remote())

    def wake(self) -> None:
        """Makes every actor take its device memory again."""
        self.all(lambda actor: actor.wake.remote())

    def kill(self) -> None:
        """Ends every process at once, busy or not."""
        for actor in self._actors:
            ray.kill(actor)

    def name(self, rank: int) -> str:
        return f"{self._label} {rank}"


@dataclass(frozen=True)
class Launcher:
    """Starts the actors of a role on their seats, all with the same environment."""

    reservation: Reservation
    environment: Mapping[str, str]
    """Variables of the processes' own."""
    collect: Collect

    def start(self, label: str, actor_class: Any, seats: Sequence[Seat]) -> ActorGroup:
        """Starts an actor of a `ray.remote` class on each seat.

        The class is made with the CUDA devices that its process may see, None on CPU.
        """
        actors = [
            actor_class.options(**self.reservation.actor_options(seat, self.environment)).remote(
                self.reservation.visible_devices(seat)
            )
            for seat in seats
        ]
        return ActorGroup(label, actors, self.collect)
