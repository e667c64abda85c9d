"""The objective of SFT: the negative log-prob of each trained token."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int32

from openrlhf_core.algorithms.aggregate import keep, target_weights, weighted_sum
from openrlhf_core.objectives.micro_batch import MicroBatch, TokenRow
from openrlhf_core.objectives.objective import Loss
from openrlhf_core.objectives.outputs import LogprobTensors, TokenLogprobs


@dataclass(frozen=True, eq=False)
class SFTSample:
    """A text to imitate. Made by data, read by learners.

    Example: SFTSample(token_ids=[7, 9, 8, 5, 11, 1], loss_mask=[0, 0, 0, 0, 1, 1])
    """

    token_ids: Int32[np.ndarray, "seq"]
    loss_mask: Bool[np.ndarray, "seq"]
    """True where the token is trained on; False at index 0, which nothing predicts."""
    loss_weights: Float32[np.ndarray, "seq"] | None = None
    """Factor of each token's loss, 0 where loss_mask is False. None: not planned yet."""

    @property
    def row_lengths(self) -> tuple[int, ...]:
        return (len(self.token_ids),)

    @property
    def num_targets(self) -> int:
        """Trained tokens."""
        return int(self.loss_mask.sum())

    def with_loss_weight(self, weight: float) -> "SFTSample":
        """Returns the sample with this factor at each trained token."""
        return replace(self, loss_weights=target_weights(self.loss_mask, weight))


class SFTObjective:
    """Loss of a token: -log p(token | tokens before it)."""

    area = "sft"

    @property
    def output(self) -> TokenLogprobs:
        return TokenLogprobs()

    def rows(self, sample: SFTSample) -> tuple[TokenRow, ...]:
        if sample.loss_weights is None:
            raise ValueError("the sample has no loss_weights; data.balance.plan_updates adds them")
        return (TokenRow(sample.token_ids, sample.loss_mask, sample.loss_weights),)

    def loss(self, outputs: LogprobTensors, batch: MicroBatch[SFTSample]) -> Loss:
        losses = -keep(outputs.logprobs, batch.selected)
        return Loss(weighted_sum(losses, batch.loss_weights))
