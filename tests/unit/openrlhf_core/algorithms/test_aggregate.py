"""Masked reductions, and loss weights that do not depend on how samples are laid out."""

import numpy as np
import pytest
import torch

from openrlhf_core.algorithms.aggregate import (
    LossAggregation,
    keep,
    masked_max,
    masked_sum,
    target_weights,
    weighted_sum,
)

LOSSES = torch.tensor([[9.0, 1.0, 2.0, 3.0], [9.0, 4.0, 9.0, 9.0]])
MASK = torch.tensor([[0, 1, 1, 1], [0, 1, 0, 0]], dtype=torch.bool)

# Two samples with losses 1, 2, 3 and 4 at their targets.
# TokenMean (1+2+3+4)/4; SequenceMean ((1+2+3)/3 + 4/1)/2; ConstantLength (1+2+3+4)/(2 x 5);
# MicroBatchTokenMean of one micro-batch (1+2+3+4)/4, of two ((1+2+3)/3 + 4/1)/2.
TOGETHER = {
    "TokenMean": 2.5,
    "SequenceMean": 3.0,
    "ConstantLength": 1.0,
    "MicroBatchTokenMean": 2.5,
}
APART = TOGETHER | {"MicroBatchTokenMean": 3.0}
KINDS = tuple(TOGETHER)


def weights_of(kind, targets):
    return LossAggregation(kind, length=5).weights(targets)


def step_loss(kind, targets):
    """The loss of both samples, whose targets lie in these micro-batches."""
    first, second = [weight for batch in weights_of(kind, targets) for weight in batch if weight]
    return first * (1 + 2 + 3) + second * 4


@pytest.mark.parametrize("kind", KINDS)
def test_each_aggregation_equals_the_hand_computed_loss(kind):
    assert step_loss(kind, [[3, 1]]) == pytest.approx(TOGETHER[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_micro_batch_mean_depends_on_the_micro_batches(kind):
    assert step_loss(kind, [[3], [1]]) == pytest.approx(APART[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_samples_and_micro_batches_without_targets_count_nowhere(kind):
    padded = [[3, 0], [], [1], [0, 0]]
    assert step_loss(kind, padded) == pytest.approx(APART[kind])
    assert weights_of(kind, padded)[3] == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["TokenMean", "SequenceMean", "MicroBatchTokenMean"])
def test_the_weights_of_a_mean_add_up_to_one(kind):
    targets = [[3, 1, 7], [2], [], [5, 5]]
    total = sum(
        n * weight
        for batch, weights in zip(targets, weights_of(kind, targets), strict=True)
        for n, weight in zip(batch, weights, strict=True)
    )
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_train_on_has_no_weights(kind):
    assert weights_of(kind, [[], [0]]) == [[], [0.0]]


def test_weights_lie_at_the_targets_and_are_float32():
    weights = target_weights(np.array([False, True, True]), 1 / 3)
    assert weights.dtype == np.float32
    assert weights.tolist() == [0.0, np.float32(1 / 3), np.float32(1 / 3)]


def test_weighted_sum_ignores_losses_without_weight_even_when_not_finite():
    losses = LOSSES.masked_fill(~MASK, torch.nan).requires_grad_()
    loss = weighted_sum(losses, MASK / 4)
    loss.backward()
    assert loss.item() == pytest.approx(2.5)
    assert losses.grad is not None
    assert losses.grad.tolist() == (MASK / 4).tolist()


def test_masked_reductions_see_only_the_mask():
    assert masked_sum(LOSSES, MASK).item() == 10.0
    assert masked_max(LOSSES, MASK).item() == 4.0
    assert masked_max(LOSSES, torch.zeros_like(MASK)).item() == -torch.inf
    assert masked_max(torch.zeros(0), torch.zeros(0, dtype=torch.bool)).item() == -torch.inf


def test_keep_replaces_what_is_masked_whatever_it_is():
    values = torch.tensor([1.0, torch.inf, torch.nan])
    assert keep(values, torch.tensor([True, False, False])).tolist() == [1.0, 0.0, 0.0]
