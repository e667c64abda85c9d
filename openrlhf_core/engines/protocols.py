"""What a recipe may ask of a learner and of a rollout engine. Implementations stay in this folder.

Both sides know `sleep` and `wake`: roles that share a worker group take turns on its devices.
Room is left for what comes next: a learner may hide tensor or sequence parallel ranks behind these
methods, `weights` may yield a LoRA adapter, and `generate` may be interrupted by `receive_weights`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

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


class Learner(Protocol):
    """One rank of a role that is trained. Methods but `abandon` are collective over the ranks."""

    def logprobs(self, micro_batches: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        """Log-probs of each token id given those before it, shapes as given; index 0 is 0."""

    def update(self, batch: OptimizerBatch, *, may_abandon: bool = False) -> dict[str, float]:
        """Does one optimizer step and returns its metrics, reduced over all ranks."""

    def abandon(self) -> None:
        """Ends `logprobs`, and an `update` that may be abandoned, before they change anything:
        from now on they raise WorkAbandoned on every rank. Called from another thread."""

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Yields every weight whole, by its Hugging Face name; ranks but 0 may yield empty ones."""

    def save(self, directory: Path) -> None:
        """Writes all that `load` needs to continue exactly."""

    def load(self, directory: Path) -> None:
        """Continues from what `save` wrote, also in another process of the same world size."""

    def export(self, directory: Path) -> None:
        """Writes the model in Hugging Face layout (safetensors, config, tokenizer); rank 0 only."""

    def sleep(self) -> None:
        """Gives device memory back; `wake` comes before any other call."""

    def wake(self) -> None:
        """Takes device memory again."""


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
