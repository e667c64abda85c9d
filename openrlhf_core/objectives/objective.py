"""What a learner is told to learn: the protocol of an objective, and what its loss reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

from jaxtyping import Float, Num
from torch import Tensor

from openrlhf_core.objectives.micro_batch import MicroBatch, TokenRow
from openrlhf_core.objectives.outputs import ModelOutput

S = TypeVar("S", bound="Sample")


@runtime_checkable  # jaxtyping checks shapes in tests, and needs isinstance
class Sample(Protocol):
    """What batches are planned by: every objective's sample type has it."""

    @property
    def row_lengths(self) -> tuple[int, ...]:
        """Tokens of each row that the model reads for this sample."""

    @property
    def num_targets(self) -> int:
        """What the loss is a mean over: trained tokens, or 1 for a loss of the whole sample."""

    def with_loss_weight(self: S, weight: float) -> S:
        """Returns the sample with this factor at the loss of each of its targets."""


S_contra = TypeVar("S_contra", bound=Sample, contravariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(frozen=True)
class Sum:
    """A metric's share of one micro-batch: its sum over `count` things. The metric is their mean
    over all micro-batches and ranks."""

    total: Num[Tensor, ""]
    count: Num[Tensor, ""]


@dataclass(frozen=True)
class Loss:
    """The loss of one micro-batch and its shares of the metrics, by name in the catalogue.

    The names are the same for every batch, an empty one too: ranks add up their numbers by
    position. A sum over nothing has count 0, a maximum over nothing is minus infinity.
    """

    total: Float[Tensor, ""]
    """Sum over tokens of loss weight x loss: a share of the optimizer step's loss."""
    sums: Mapping[str, Sum] = field(default_factory=dict)
    maxima: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)


class Objective(Protocol[S_contra, T_contra]):
    """A loss over samples of type S from a model's tensors of type T. It is sent to each rank."""

    @property
    def area(self) -> str:
        """Names the loss in metrics, as `policy` in `policy/loss`."""

    @property
    def output(self) -> ModelOutput:
        """What the model computes; its tensors are those that `loss` takes."""

    def rows(self, sample: S_contra) -> tuple[TokenRow, ...]:
        """Returns the sequences that the model reads for one sample, as long as `row_lengths`."""

    def loss(self, outputs: T_contra, batch: MicroBatch[S_contra]) -> Loss:
        """Returns the loss of one micro-batch from the model's tensors."""
