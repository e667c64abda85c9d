"""The life of a sample: Prompt -> Rollout -> ScoredRollout -> TrainSample -> MicroBatch.

One rule of alignment holds everywhere: index t of `logprobs`, `action_mask`, `advantages` and their
kin is about token t of `token_ids`. A log-prob at index t is of token t given the tokens before it;
at index 0 and at prompt tokens it is 0. Shifts occur only in `openrlhf_core.models.logprobs`.

Ragged data is NumPy (cheap to send between processes); a `MicroBatch` is the first padded tensor.
The worked example through this file: prompt "2+3=" as tokens [7, 9, 8, 5], completion "5<eos>" as
[11, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64
from torch import Tensor

FinishReason = Literal["stop", "length"]


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
class TrainSample:
    """A completion ready to learn from. Made by the recipe, read by learners.

    Example: TrainSample(token_ids=[7, 9, 8, 5, 11, 1], action_mask=[0, 0, 0, 0, 1, 1],
    advantages=[0, 0, 0, 0, 0.7, 0.7], rollout_logprobs=[0, 0, 0, 0, -0.2, -0.1])
    """

    token_ids: Int32[np.ndarray, "seq"]
    action_mask: Bool[np.ndarray, "seq"]
    """True where the token was made by the model and is trained on."""
    advantages: Float32[np.ndarray, "seq"]
    rollout_logprobs: Float32[np.ndarray, "seq"]
    old_logprobs: Float32[np.ndarray, "seq"] | None = None
    """None: the update is the first on these samples, so the current log-probs are the old ones."""
    ref_logprobs: Float32[np.ndarray, "seq"] | None = None
    """None: no KL term in the loss."""

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True, eq=False)
class OptimizerBatch:
    """One optimizer step's share of one learner rank. Made by data.balance, read by a learner.

    Every rank gets the same number of micro-batches (an empty one pads), and the counts over all
    ranks that the loss is divided by.
    """

    micro_batches: tuple[tuple[TrainSample, ...], ...]
    num_action_tokens: int
    """Trained tokens of the optimizer step over all ranks and micro-batches."""
    num_samples: int
    """Samples with a trained token over all ranks and micro-batches."""
    num_micro_batches: int
    """Micro-batches with a trained token over all ranks."""


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """One forward pass as tensors, right-padded, or packed into one row. Made by engines.collate.

    Example, two samples of lengths 6 and 3 padded: token_ids [2, 6], attention_mask
    [[1,1,1,1,1,1],[1,1,1,0,0,0]]. Packed: token_ids [1, 9], position_ids [[0,1,2,3,4,5,0,1,2]],
    attention_mask None.
    """

    token_ids: Int64[Tensor, "batch seq"]
    position_ids: Int64[Tensor, "batch seq"]
    attention_mask: Bool[Tensor, "batch seq"] | None
    sample_ids: Int64[Tensor, "batch seq"]
    """Which sample a token belongs to, from 0; -1 at padding."""
    action_mask: Bool[Tensor, "batch seq"]
    advantages: Float32[Tensor, "batch seq"]
    rollout_logprobs: Float32[Tensor, "batch seq"]
    old_logprobs: Float32[Tensor, "batch seq"] | None
    ref_logprobs: Float32[Tensor, "batch seq"] | None
