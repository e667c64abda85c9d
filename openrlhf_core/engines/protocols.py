"""What a recipe may ask of learners, frozen models and rollout engines.

Implementations stay in this folder. All of them sleep and wake: roles that share a worker group
take turns on its devices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from openrlhf_core.objectives.metrics import Measurement
from openrlhf_core.samples import FinishReason, OptimizerBatch


@dataclass(frozen=True, eq=False)
class GenerationRequest:
    """One completion asked of an engine. Made by the recipe, read by a rollout engine."""

    prompt_ids: np.ndarray
    """Token ids, int32 [prompt]."""
    seed: int
    """Derived from (run seed, step, prompt, sample), so that a run repeats bit for bit."""
    max_tokens: int
    """Longest completion of this request."""


@dataclass(frozen=True, eq=False)
class Completion:
    """The answer to one GenerationRequest, in the same order. About 10 bytes a token."""

    token_ids: np.ndarray
    """int32 [completion]; the end token is the last one when finish_reason is stop."""
    logprobs: np.ndarray
    """float32 [completion]: of each token under the distribution that it was drawn from."""
    finish_reason: FinishReason


@dataclass(frozen=True)
class WeightInfo:
    """Name, dtype (as in `torch.float32` without `torch.`) and full shape of one weight."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class SyncGroup:
    """Where learner rank 0 and all engine workers meet to move weights. Made by the driver."""

    host: str
    port: int
    world_size: int
    """1 learner rank + all engine workers."""
    timeout_seconds: float
    bucket_bytes: int


class Scorer(Protocol):
    """A model that says something of every token of given sequences."""

    def score(self, micro_batches: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        """Log-prob of each token id given those before it, shapes as given; index 0 is 0.

        float32; a learner raises WorkAbandoned after `abandon`.
        """


class Trainer(Protocol):
    """One rank of a role that is trained. `update` is collective over the ranks."""

    def update(
        self, batch: OptimizerBatch[Any], *, may_abandon: bool = False
    ) -> dict[str, Measurement]:
        """Does one optimizer step and returns its metrics, reduced over all ranks."""

    def abandon(self) -> None:
        """Makes `score`, and an `update` that may be abandoned, raise WorkAbandoned on every rank.

        They then have changed no weight. Called from another thread; it cannot be undone.
        """


class Stored(Protocol):
    """One rank whose state outlives its process. Methods are collective over the ranks.

    Each returns the files that this rank wrote, relative to the directory.
    """

    def save(self, directory: Path) -> list[Path]:
        """Writes all that `load` needs to continue exactly."""

    def load(self, directory: Path) -> None:
        """Continues from what `save` wrote, also in another process of the same world size."""

    def export(self, directory: Path) -> list[Path]:
        """Writes the model in Hugging Face layout: safetensors, config, tokenizer."""


class WeightSource(Protocol):
    """One rank whose weights go to the engines."""

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Yields every weight whole, by its Hugging Face name; ranks but 0 may yield empty ones."""


class Sleeper(Protocol):
    """A process that can give its device memory to others."""

    def sleep(self) -> None:
        """Gives device memory back; `wake` comes before any other call."""

    def wake(self) -> None:
        """Takes device memory again."""


class Learner(Trainer, Scorer, Stored, WeightSource, Sleeper, Protocol):
    """Everything that one rank of a trained role can do."""


class RolloutEngine(Protocol):
    """One generation engine, over one or more devices."""

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Completes every request; all are queued before the first token is drawn."""

    def connect(self, group: SyncGroup, first_rank: int, weights: Sequence[WeightInfo]) -> None:
        """Joins the group that weights come through; this engine's workers rank from first_rank."""

    def receive_weights(self, policy_version: int) -> int:
        """Takes one round of weights from the group and returns the policy version now held."""

    def sleep(self) -> None:
        """Gives device memory back; weights and KV cache are lost or parked."""

    def wake(self) -> None:
        """Takes device memory again; weights may be stale until the next `receive_weights`."""
