"""What a recipe may ask of learners, frozen models and rollout engines.

Implementations stay in this folder. All of them sleep and wake: roles that share a worker group
take turns on its devices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor

from openrlhf_core.objectives.metrics import Measurement
from openrlhf_core.samples import FinishReason, OptimizerBatch


class RequestId(NamedTuple):
    """Names a request in a run: which prompt, and which completion of it."""

    prompt_id: int
    sample_index: int


@dataclass(frozen=True, eq=False)
class GenerationRequest:
    """One completion asked of an engine. Made by the recipe, read by a rollout engine."""

    request_id: RequestId
    prompt_ids: np.ndarray
    """Token ids, int32 [prompt]."""
    seed: int
    """Derived from the run's seed and the request id, so that a run repeats bit for bit on CPU."""
    max_tokens: int
    """Longest completion of this request."""


@dataclass(frozen=True, eq=False)
class Completion:
    """The answer to one GenerationRequest. About 14 bytes a token."""

    request_id: RequestId
    token_ids: np.ndarray
    """int32 [completion]; the end token is the last one when finish_reason is stop."""
    logprobs: np.ndarray
    """float32 [completion]: of each token under the distribution that it was drawn from."""
    versions: np.ndarray
    """int32 [completion]: version of the policy that drew each token."""
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
        """Returns a number for each token id, float32, shapes as given.

        It is the token's log-prob given those before it (0 at index 0) where the model's output is
        TokenLogprobs; a learner raises WorkAbandoned after `abandon`.
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

    def describe(self) -> list[WeightInfo]:
        """Returns names, dtypes and whole shapes of what `weights` yields; not collective."""

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


class Generator(Protocol):
    """Completes requests.

    One thread calls `submit` and `poll`. Any thread may call the others at any time; they take
    effect between two tokens.
    """

    def submit(self, requests: Sequence[GenerationRequest]) -> None:
        """Queues requests; no token is drawn before the next `poll`."""

    def poll(self, max_seconds: float) -> list[Completion]:
        """Generates, and returns each completion once, when it has come to its end.

        Returns when no request is left, when paused, or after about `max_seconds`.
        """

    def abort(self, request_ids: Sequence[RequestId]) -> None:
        """Drops requests without a completion; those that have come to their end are untouched."""

    def pause(self) -> None:
        """Ends a running `poll`, and lets later ones return at once. Requests keep their tokens."""

    def resume(self) -> None:
        """Ends a pause."""


class WeightTarget(Protocol):
    """Takes the weights of the policy."""

    def connect(self, group: SyncGroup, first_rank: int, weights: Sequence[WeightInfo]) -> None:
        """Joins the group that weights come through; this engine's workers rank from first_rank."""

    def receive_weights(self, policy_version: int) -> int:
        """Takes one round of weights from the group and returns the policy version now held.

        Requests under way draw their further tokens from the new weights.
        """


class RolloutEngine(Generator, WeightTarget, Sleeper, Protocol):
    """Everything that one generation engine can do, over one or more devices.

    `sleep` drops requests under way; `receive_weights` comes between `wake` and `poll`.
    """
