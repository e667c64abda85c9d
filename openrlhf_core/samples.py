"""The life of a sample: Prompt -> Rollout -> ScoredRollout -> OptimizerBatch.

One rule of alignment holds everywhere: index t of `logprobs`, `action_mask`, `advantages` and their
kin is about token t of `token_ids`. A log-prob at index t is of token t given the tokens before it;
at index 0 and at prompt tokens it is 0. Shifts occur only in `openrlhf_core.models.logprobs`.

Messages hold ragged NumPy arrays, which are cheap to send between processes. An objective's sample
type stands beside its loss in `openrlhf_core.objectives`, with the tensors of a micro-batch.
The worked example through this file: prompt "2+3=" as tokens [7, 9, 8, 5], completion "5<eos>" as
[11, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Float32, Int32

FinishReason = Literal["stop", "length"]
S_co = TypeVar("S_co", covariant=True)


@dataclass(frozen=True, eq=False)
class Prompt:
    """One row of the training data, rendered and tokenised. Made by data, read by engines, rewards.

    Example: Prompt(prompt_id=0, text="2+3=", token_ids=[7, 9, 8, 5], label="5")
    """

    prompt_id: int
    """Position in the run's stream of prompts, from 0: unique in a run, equal in a repeated run."""
    text: str
    """The rendered prompt, as the tokenizer read it."""
    token_ids: Int32[np.ndarray, "prompt"]
    label: Any = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """The row's other columns, for reward functions that ask for them."""
    dataset: str = "default"
    """Name of the dataset that the row comes from."""


@dataclass(frozen=True, eq=False)
class Rollout:
    """A prompt and what the policy made of it. Made by the recipe, read by rewards and the recipe.

    An episode of several turns has the same form: tokens that the environment wrote between two
    turns stand in `token_ids` with action_mask False.

    Example: Rollout(prompt=..., sample_index=3, token_ids=[7, 9, 8, 5, 11, 1],
    action_mask=[0, 0, 0, 0, 1, 1], logprobs=[0, 0, 0, 0, -0.2, -0.1],
    versions=[-1, -1, -1, -1, 4, 4], finish_reason="stop")
    """

    prompt: Prompt
    sample_index: int
    """Number of the rollout within its prompt's group, from 0."""
    token_ids: Int32[np.ndarray, "seq"]
    """The prompt's tokens and all that follow, the end token included."""
    action_mask: Bool[np.ndarray, "seq"]
    """True where the policy made the token."""
    logprobs: Float32[np.ndarray, "seq"]
    """The engine's log-probs after temperature; 0 where action_mask is False."""
    versions: Int32[np.ndarray, "seq"]
    """Version of the policy that drew the token; -1 where action_mask is False."""
    finish_reason: FinishReason

    @property
    def is_truncated(self) -> bool:
        return self.finish_reason == "length"

    @property
    def completion_ids(self) -> Int32[np.ndarray, "completion"]:
        """Every token behind the prompt."""
        return self.token_ids[len(self.prompt.token_ids) :]

    @property
    def group_id(self) -> int:
        """Rollouts with the same group id answer the same prompt."""
        return self.prompt.prompt_id


@dataclass(frozen=True, eq=False)
class ScoredRollout:
    """A completion and its score. Made by rewards, read by the recipe.

    Example: ScoredRollout(rollout=..., score=1.0, parts={"default": 1.0})
    """

    rollout: Rollout
    score: float | None
    """Weighted sum over the reward's entries. None: a call failed; the sample is masked."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Raw score of each entry that answered, by name."""


@dataclass(frozen=True, eq=False)
class OptimizerBatch(Generic[S_co]):
    """One rank's share of one optimizer step. Made by data.balance, read by a learner.

    Every rank gets the same number of micro-batches (empty ones fill up). The samples carry their
    loss weights, so that sums over micro-batches and ranks are the loss of the step.
    """

    micro_batches: tuple[tuple[S_co, ...], ...]
