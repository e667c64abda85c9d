"""A pair as two rows of a micro-batch: its loss, metrics and gradient under any layout."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from openrlhf_core.algorithms.aggregate import LossAggregation
from openrlhf_core.data.balance import BatchLimits, plan_updates
from openrlhf_core.engines.collate import collate
from openrlhf_core.objectives.outputs import LogprobTensors
from openrlhf_core.objectives.preference import PreferenceObjective, PreferenceSample

CASES = json.loads((Path(__file__).parents[3] / "oracle" / "preference.json").read_text())["cases"]
TOKENS = [case for case in CASES if "num_pairs" in case["inputs"]]
DPO = PreferenceObjective("Sigmoid", beta=0.1, label_smoothing=0.0, nll_coefficient=0.0)


def objective_of(case) -> PreferenceObjective:
    settings = case["settings"]
    return PreferenceObjective(
        settings["loss"], settings["beta"], settings["label_smoothing"], settings["nll_coefficient"]
    )


def samples_of(case) -> list[PreferenceSample]:
    """The pairs of a case, each with the weight of a mean over pairs."""
    inputs, count = case["inputs"], case["inputs"]["num_pairs"]
    masks = [np.array(mask, bool) for mask in inputs["loss_masks"]]
    refs = [
        float(np.array(row)[mask].sum())
        for row, mask in zip(inputs["reference"], masks, strict=True)
    ]
    return [
        PreferenceSample(
            np.zeros(len(masks[i]), np.int32),
            masks[i],
            np.zeros(len(masks[count + i]), np.int32),
            masks[count + i],
            refs[i],
            refs[count + i],
        ).with_loss_weight(1 / count)
        for i in range(count)
    ]


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("case", TOKENS, ids=lambda case: case["name"])
def test_losses_from_tokens_equal_the_oracle(case, packing: bool) -> None:
    count = case["inputs"]["num_pairs"]
    objective, samples = objective_of(case), samples_of(case)
    batch = collate(samples, objective.rows, 0, packing)
    rows = [np.array(row, np.float32) for row in case["inputs"]["policy"]]
    interleaved = [rows[index] for i in range(count) for index in (i, count + i)]
    logprobs = batch.place(interleaved).requires_grad_()
    loss = objective.loss(LogprobTensors(logprobs, torch.zeros_like(logprobs)), batch)
    assert loss.total.item() == pytest.approx(case["expected"]["loss"], rel=1e-4)
    loss.total.backward()
    assert logprobs.grad is not None
    assert not logprobs.grad[~batch.selected].any()


def make_pair(reference: float = 0.0) -> PreferenceSample:
    mask = np.array([False, True, True])
    ids = np.array([5, 6, 7], np.int32)
    return PreferenceSample(ids, mask, ids[:2], mask[:2], reference, reference)


def test_metrics_are_means_over_pairs() -> None:
    samples = [make_pair().with_loss_weight(0.5), make_pair().with_loss_weight(0.5)]
    batch = collate(samples, DPO.rows, 0, False)
    logprobs = torch.zeros(4, 3)
    logprobs[0, 1:] = torch.tensor([-1.0, -1.0])  # first pair: chosen -2, rejected -5
    logprobs[1, 1] = -5.0
    logprobs[2, 1:] = torch.tensor([-4.0, -4.0])  # second pair: chosen -8, rejected -5
    logprobs[3, 1] = -5.0
    loss = DPO.loss(LogprobTensors(logprobs, torch.zeros(4, 3)), batch)
    means = {name: (one.total / one.count).item() for name, one in loss.sums.items()}
    assert means["dpo/accuracy"] == 0.5
    assert means["dpo/chosen_reward"] == pytest.approx(-0.5)
    assert means["dpo/rejected_reward"] == pytest.approx(-0.5)
    assert means["dpo/margin"] == pytest.approx(0.0)


def test_the_step_loss_does_not_depend_on_the_layout() -> None:
    pairs = [make_pair(float(i)) for i in range(5)]
    totals = []
    for num_ranks, size in ((1, 1), (1, 5), (2, 2)):
        (step,) = plan_updates(
            pairs,
            train_batch_size=5,
            num_ranks=num_ranks,
            epochs=1,
            key=(1, 1),
            limits=BatchLimits(micro_batch_size=size),
            aggregation=LossAggregation(),
        )
        batches = [
            collate(list(s), DPO.rows, 0, False) for rank in step for s in rank.micro_batches
        ]
        outputs = [torch.full(batch.token_ids.shape, -1.0) for batch in batches]
        losses = [
            DPO.loss(LogprobTensors(o, torch.zeros_like(o)), b).total.item()
            for o, b in zip(outputs, batches, strict=True)
        ]
        totals.append(sum(losses))
    assert totals == pytest.approx([totals[0]] * 3)


def test_a_rank_without_pairs_reports_the_same_names_and_no_loss() -> None:
    nothing: list[PreferenceSample] = []
    batch = collate(nothing, DPO.rows, 0, False)
    logprobs = torch.zeros(batch.token_ids.shape, requires_grad=True)
    loss = DPO.loss(LogprobTensors(logprobs, torch.zeros_like(logprobs)), batch)
    loss.total.backward()
    assert loss.total.item() == 0.0
    assert len(loss.sums) == 4
    assert all(one.count.item() == 0 for one in loss.sums.values())
