"""Masked reductions, and a step's loss that does not depend on how samples were laid out."""

import pytest
import torch

from openrlhf_core.algorithms.aggregate import (
    StepCounts,
    aggregate_loss,
    masked_max,
    masked_sum,
    token_weights,
)

# Two samples of 3 and 1 action tokens, after prompts of one token.
LOSSES = torch.tensor([[9.0, 1.0, 2.0, 3.0], [9.0, 4.0, 9.0, 9.0]])
MASK = torch.tensor([[0, 1, 1, 1], [0, 1, 0, 0]], dtype=torch.bool)
SAMPLE_IDS = torch.tensor([[0, 0, 0, 0], [1, 1, -1, -1]])
COUNTS = StepCounts(num_action_tokens=4, num_samples=2, num_micro_batches=1)

# TokenMean (1+2+3+4)/4; SequenceMean ((1+2+3)/3 + 4/1)/2; ConstantLength (1+2+3+4)/(2 x 5).
BY_HAND = {
    "TokenMean": 2.5,
    "SequenceMean": 3.0,
    "ConstantLength": 1.0,
    "MicroBatchTokenMean": 2.5,
}


def aggregate(losses, mask, sample_ids, aggregation, counts):
    return aggregate_loss(
        losses,
        mask,
        sample_ids,
        aggregation=aggregation,
        counts=counts,
        max_completion_tokens=5,
    )


@pytest.mark.parametrize(("aggregation", "expected"), BY_HAND.items())
def test_each_aggregation_equals_the_hand_computed_loss(aggregation, expected):
    loss = aggregate(LOSSES, MASK, SAMPLE_IDS, aggregation, COUNTS)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("aggregation", ["TokenMean", "SequenceMean", "ConstantLength"])
def test_loss_is_the_sum_over_any_split_into_micro_batches(aggregation):
    parts = [
        aggregate(LOSSES[row : row + 1], MASK[row : row + 1], SAMPLE_IDS[:1], aggregation, COUNTS)
        for row in range(2)
    ]
    assert sum(parts).item() == pytest.approx(BY_HAND[aggregation], abs=1e-6)


def test_micro_batch_token_mean_is_the_mean_of_the_means():
    # Means 2 and 4 of the two micro-batches, whatever their sizes: 3, not 2.5.
    counts = StepCounts(num_action_tokens=4, num_samples=2, num_micro_batches=2)
    parts = [
        aggregate(
            LOSSES[row : row + 1],
            MASK[row : row + 1],
            SAMPLE_IDS[:1],
            "MicroBatchTokenMean",
            counts,
        )
        for row in range(2)
    ]
    assert sum(parts).item() == pytest.approx(3.0, abs=1e-6)


@pytest.mark.parametrize("aggregation", BY_HAND)
def test_packed_samples_give_the_same_loss_as_padded_ones(aggregation):
    losses = torch.tensor([[9.0, 1.0, 2.0, 3.0, 9.0, 4.0]])
    mask = torch.tensor([[0, 1, 1, 1, 0, 1]], dtype=torch.bool)
    sample_ids = torch.tensor([[0, 0, 0, 0, 1, 1]])
    loss = aggregate(losses, mask, sample_ids, aggregation, COUNTS)
    assert loss.item() == pytest.approx(BY_HAND[aggregation], abs=1e-6)


@pytest.mark.parametrize("aggregation", BY_HAND)
def test_weights_are_zero_outside_the_mask_and_add_up_to_the_mean(aggregation):
    weights = token_weights(MASK, SAMPLE_IDS, aggregation, COUNTS, 5)
    assert (weights[~MASK] == 0).all()
    total = 0.4 if aggregation == "ConstantLength" else 1.0
    assert weights.sum().item() == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("aggregation", BY_HAND)
def test_masked_losses_have_no_say_even_when_not_finite(aggregation):
    losses = LOSSES.masked_fill(~MASK, torch.nan).requires_grad_()
    loss = aggregate(losses, MASK, SAMPLE_IDS, aggregation, COUNTS)
    loss.backward()
    assert loss.item() == pytest.approx(BY_HAND[aggregation], abs=1e-6)
    assert losses.grad is not None
    assert (losses.grad[~MASK] == 0).all()


@pytest.mark.parametrize("aggregation", BY_HAND)
def test_micro_batch_without_action_tokens_adds_nothing(aggregation):
    nothing = torch.zeros_like(MASK)
    assert aggregate(LOSSES, nothing, SAMPLE_IDS, aggregation, COUNTS).item() == 0.0
    empty = StepCounts(num_action_tokens=0, num_samples=0, num_micro_batches=0)
    assert aggregate(LOSSES, nothing, SAMPLE_IDS, aggregation, empty).item() == 0.0


def test_masked_sum_and_max_see_only_the_mask():
    assert masked_sum(LOSSES, MASK).item() == 10.0
    assert masked_max(LOSSES, MASK).item() == 4.0
    assert masked_max(LOSSES, torch.zeros_like(MASK)).item() == -torch.inf
    assert masked_max(torch.zeros(0), torch.zeros(0, dtype=torch.bool)).item() == -torch.inf
