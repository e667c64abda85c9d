"""Adds up what the losses of micro-batches and ranks report, into the metrics of a step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from jaxtyping import Float64
from torch import Tensor

from openrlhf_core.objectives.metrics import Measurement
from openrlhf_core.objectives.objective import Loss


@dataclass(frozen=True, eq=False)
class StepTotals:
    """The loss and the metrics of some micro-batches, in float64.

    `sums` holds the loss, the total of each named sum, then the count of each; `maxima` one number
    per name. Names are sorted, so that all ranks have the same order.
    """

    sum_names: tuple[str, ...]
    maximum_names: tuple[str, ...]
    sums: Float64[Tensor, "sums"]
    maxima: Float64[Tensor, "maxima"]

    @staticmethod
    def of(loss: Loss) -> "StepTotals":
        """Returns the totals of one micro-batch."""
        sums = [loss.sums[name] for name in sorted(loss.sums)]
        maxima = [loss.maxima[name] for name in sorted(loss.maxima)]
        device = loss.total.device
        return StepTotals(
            sum_names=tuple(sorted(loss.sums)),
            maximum_names=tuple(sorted(loss.maxima)),
            sums=_vector([loss.total, *(s.total for s in sums), *(s.count for s in sums)], device),
            maxima=_vector(maxima, device),
        )

    def plus(self, other: "StepTotals") -> "StepTotals":
        """Returns the totals of both; ValueError when they do not report the same names."""
        ours = (self.sum_names, self.maximum_names)
        theirs = (other.sum_names, other.maximum_names)
        if ours != theirs:
            raise ValueError(
                f"one micro-batch reports {theirs}, another {ours}: each must report the same"
            )
        sums, maxima = self.sums + other.sums, torch.maximum(self.maxima, other.maxima)
        return StepTotals(self.sum_names, self.maximum_names, sums, maxima)

    def reduce_over_ranks(self) -> "StepTotals":
        """Returns the totals of all ranks; collective: one reduction for sums, one for maxima."""
        dist.all_reduce(self.sums, op=dist.ReduceOp.SUM)
        dist.all_reduce(self.maxima, op=dist.ReduceOp.MAX)
        return self

    def measurements(self, loss_name: str) -> dict[str, Measurement]:
        """Returns the loss as `loss_name` and the named metrics, but those over nothing."""
        loss, *numbers = self.sums.tolist()
        totals, counts = numbers[: len(self.sum_names)], numbers[len(self.sum_names) :]
        found = {loss_name: Measurement(loss)}
        for name, total, count in zip(self.sum_names, totals, counts, strict=True):
            if count:
                found[name] = Measurement(total, count)
        for name, value in zip(self.maximum_names, self.maxima.tolist(), strict=True):
            if value > -math.inf:
                found[name] = Measurement(value)
        return found


def _vector(numbers: Sequence[Tensor], device: torch.device) -> Float64[Tensor, "numbers"]:
    doubles = [number.detach().double() for number in numbers]
    return torch.stack(doubles) if doubles else torch.zeros(0, dtype=torch.float64, device=device)
