"""Which memory an engine holds while it takes turns with a learner on the same devices.

A round is: generate, `sleep`, (the learner trains), `wake` takes memory for the weights, a sync
fills it, (the learner sleeps), and the next `generate` takes the KV cache's memory, no sooner: at
the sync the learner still holds its own.
"""

from collections.abc import Callable
from typing import Literal

Memory = Literal["weights", "kv_cache"]


class RolloutSleep:
    """Keeps account of one engine's memory and calls vLLM when it changes."""

    def __init__(self, discard_all: Callable[[], None], take: Callable[[Memory], None]) -> None:
        """`discard_all` gives both memories up, contents lost; `take` maps one of them again."""
        self._discard_all = discard_all
        self._take = take
        self._held: set[Memory] = {"weights", "kv_cache"}
        self._has_weights = True

    def sleep(self) -> None:
        """Gives all memory up; does nothing when asleep."""
        if not self._held:
            return
        self._hold("weights")
        self._hold("kv_cache")
        self._discard_all()
        self._held.clear()
        self._has_weights = False

    def wake(self) -> None:
        """Takes memory for the weights; what it holds is nothing until `weights_arrived`."""
        self._hold("weights")

    def weights_arrived(self) -> None:
        """Says that a sync has filled the memory of the weights."""
        self._has_weights = True

    def ready_to_generate(self) -> None:
        """Takes the KV cache's memory; RuntimeError while there are no weights."""
        if not self._has_weights:
            raise RuntimeError("generate after sleep, before wake and receive_weights")
        self._hold("kv_cache")

    def _hold(self, memory: Memory) -> None:
        if memory not in self._held:
            self._take(memory)
            self._held.add(memory)
