"""The loss of SFT by hand, under any layout, with its gradient."""

import numpy as np
import pytest
import torch

from openrlhf_core.algorithms.aggregate import LossAggregation
from openrlhf_core.data.balance import BatchLimits, plan_updates
from openrlhf_core.engines.collate import collate
from openrlhf_core.objectives.outputs import LogprobTensors
from openrlhf_core.objectives.sft import SFTObjective, SFTSample

OBJECTIVE = SFTObjective()


def make_sample(length: int, prompt: int) -> SFTSample:
    return SFTSample(np.arange(length, dtype=np.int32), np.arange(length) >= prompt)


def make_outputs(batch, logprob=-2.0):
    logprobs = torch.full(batch.token_ids.shape, logprob, requires_grad=True)
    return LogprobTensors(logprobs, torch.zeros_like(logprobs))


def test_the_loss_is_the_mean_over_trained_tokens():
    sample = make_sample(4, prompt=2).with_loss_weight(1 / 2)
    batch = collate([sample], OBJECTIVE.rows, 0, False)
    outputs = make_outputs(batch)
    loss = OBJECTIVE.loss(outputs, batch)
    loss.total.backward()
    assert loss.total.item() == pytest.approx(2.0)
    assert outputs.logprobs.grad.tolist() == [[0.0, 0.0, -0.5, -0.5]]


@pytest.mark.parametrize("packing", [False, True])
def test_the_step_loss_does_not_depend_on_the_layout(packing: bool):
    samples = [make_sample(5, 1), make_sample(3, 2), make_sample(9, 4), make_sample(2, 1)]
    for num_ranks, size in ((1, 1), (1, 4), (2, 1), (2, 2)):
        limits = BatchLimits(micro_batch_size=size, packing=packing)
        (step,) = plan_updates(
            samples,
            train_batch_size=4,
            num_ranks=num_ranks,
            epochs=1,
            key=(1, 1),
            limits=limits,
            aggregation=LossAggregation(),
        )
        batches = [
            collate(list(samples), OBJECTIVE.rows, 0, packing)
            for rank in step
            for samples in rank.micro_batches
        ]
        totals = [OBJECTIVE.loss(make_outputs(batch), batch).total.item() for batch in batches]
        assert sum(totals) == pytest.approx(2.0)


def test_a_token_that_is_not_trained_on_may_be_infinite():
    sample = make_sample(3, prompt=2).with_loss_weight(1.0)
    batch = collate([sample], OBJECTIVE.rows, 0, False)
    logprobs = torch.tensor([[0.0, -torch.inf, -1.0]], requires_grad=True)
    loss = OBJECTIVE.loss(LogprobTensors(logprobs, torch.zeros(1, 3)), batch)
    loss.total.backward()
    assert loss.total.item() == 1.0
    assert logprobs.grad is not None
    assert torch.equal(logprobs.grad, torch.tensor([[0.0, 0.0, -1.0]]))


def test_a_rank_without_samples_adds_nothing():
    nothing: list[SFTSample] = []
    batch = collate(nothing, OBJECTIVE.rows, 0, False)
    loss = OBJECTIVE.loss(make_outputs(batch), batch)
    assert loss.total.item() == 0.0


def test_a_sample_that_no_step_was_planned_for_is_refused():
    with pytest.raises(ValueError, match="no loss_weights"):
        OBJECTIVE.rows(make_sample(3, 1))
