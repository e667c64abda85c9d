"""The objective of DPO, IPO and cDPO: a pair of responses, the first preferred to the second."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32
from torch import Tensor

from openrlhf_core.algorithms.aggregate import keep, target_weights
from openrlhf_core.algorithms.preference_loss import PreferenceLosses, preference_losses
from openrlhf_core.objectives.micro_batch import MicroBatch, TokenRow
from openrlhf_core.objectives.objective import Loss, Sum
from openrlhf_core.objectives.outputs import LogprobTensors, TokenLogprobs
from openrlhf_core.spec.kinds.dpo import PreferenceLoss


@dataclass(frozen=True, eq=False)
class PreferenceSample:
    """A pair of responses to one prompt. Made by the recipe, read by learners.

    Example: PreferenceSample(chosen_ids=[7, 9, 5, 1], chosen_mask=[0, 0, 1, 1],
    rejected_ids=[7, 9, 6, 1], rejected_mask=[0, 0, 1, 1], ref_chosen=-1.2, ref_rejected=-3.4)
    """

    chosen_ids: Int32[np.ndarray, "chosen"]
    chosen_mask: Bool[np.ndarray, "chosen"]
    """True at the tokens of the response; False at index 0, which nothing predicts."""
    rejected_ids: Int32[np.ndarray, "rejected"]
    rejected_mask: Bool[np.ndarray, "rejected"]
    ref_chosen: float
    """The reference's log-prob of the response, summed over its tokens."""
    ref_rejected: float
    loss_weight: float | None = None
    """Factor of the pair's loss. None: not planned yet."""

    @property
    def row_lengths(self) -> tuple[int, ...]:
        return len(self.chosen_ids), len(self.rejected_ids)

    @property
    def num_targets(self) -> int:
        """The loss is a mean over pairs."""
        return 1

    def with_loss_weight(self, weight: float) -> "PreferenceSample":
        return replace(self, loss_weight=weight)


@dataclass(frozen=True)
class PreferenceObjective:
    """Loss of a pair: preference loss - nll_coefficient x mean log-prob of the chosen tokens."""

    kind: PreferenceLoss
    beta: float
    label_smoothing: float
    nll_coefficient: float

    @property
    def area(self) -> str:
        return "dpo"

    @property
    def output(self) -> TokenLogprobs:
        return TokenLogprobs()

    def rows(self, sample: PreferenceSample) -> tuple[TokenRow, ...]:
        """The chosen text, then the rejected one."""
        if sample.loss_weight is None:
            raise ValueError("the sample has no loss_weight; data.balance.plan_updates adds it")
        return tuple(
            TokenRow(token_ids, mask, target_weights(mask, sample.loss_weight))
            for token_ids, mask in (
                (sample.chosen_ids, sample.chosen_mask),
                (sample.rejected_ids, sample.rejected_mask),
            )
        )

    def loss(self, outputs: LogprobTensors, batch: MicroBatch[PreferenceSample]) -> Loss:
        sums = sums_by_row(keep(outputs.logprobs, batch.selected), batch)
        chosen, rejected = sums[0::2], sums[1::2]

        def column(value: Callable[[PreferenceSample], float]) -> Tensor:
            return sums.new_tensor([value(sample) for sample in batch.samples])

        found = preference_losses(
            chosen,
            rejected,
            column(lambda sample: sample.ref_chosen),
            column(lambda sample: sample.ref_rejected),
            kind=self.kind,
            beta=self.beta,
            label_smoothing=self.label_smoothing,
        )
        losses = found.losses
        if self.nll_coefficient:
            num_tokens = column(lambda sample: max(int(sample.chosen_mask.sum()), 1))
            losses = losses - self.nll_coefficient * chosen / num_tokens
        weights = column(lambda sample: sample.loss_weight or 0.0)
        return Loss((losses * weights).sum(), metrics(found))


def metrics(found: PreferenceLosses) -> dict[str, Sum]:
    """The metrics of a micro-batch, as sums over its pairs."""
    margins = found.chosen_rewards - found.rejected_rewards
    count = margins.new_tensor(float(len(margins)))
    summed = {
        "dpo/accuracy": (margins > 0).to(margins.dtype),
        "dpo/chosen_reward": found.chosen_rewards,
        "dpo/rejected_reward": found.rejected_rewards,
        "dpo/margin": margins,
    }
    return {name: Sum(values.sum(), count) for name, values in summed.items()}


def sums_by_row(
    values: Float[Tensor, "batch seq"], batch: MicroBatch[PreferenceSample]
) -> Float[Tensor, "rows"]:
    """Returns the sum over the tokens of each row; values must be 0 at padding."""
    sums = torch.zeros(2 * len(batch.samples) + 1, dtype=values.dtype, device=values.device)
    owners = batch.row_ids.clamp(min=0).flatten()  # padding adds 0 to the first row
    return sums.index_add(0, owners, values.flatten())[:-1]
