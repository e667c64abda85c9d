"""What micro-batches report becomes the metrics of an optimizer step."""

import math

import pytest
import torch

from openrlhf_core.engines.step_totals import StepTotals
from openrlhf_core.objectives.metrics import Measurement
from openrlhf_core.objectives.objective import Loss, Sum


def make_totals(loss=1.0, clipped=1.0, tokens=4.0, ratio=1.5, kl_tokens=0.0):
    return StepTotals.of(
        Loss(
            torch.tensor(loss, requires_grad=True),
            sums={
                "policy/clip_ratio": Sum(torch.tensor(clipped), torch.tensor(tokens)),
                "kl/mean": Sum(torch.tensor(0.0), torch.tensor(kl_tokens)),
            },
            maxima={"ratio/max": torch.tensor(ratio)},
        )
    )


def test_sums_add_up_over_their_counts_and_maxima_compare():
    total = make_totals(loss=1.0, clipped=1, tokens=4).plus(make_totals(2.0, 2, 16, ratio=1.2))
    assert total.measurements("policy/loss") == {
        "policy/loss": Measurement(3.0),
        "policy/clip_ratio": Measurement(3.0, 20.0),
        "ratio/max": Measurement(1.5),
    }


def test_metrics_over_nothing_are_left_out():
    empty = make_totals(loss=0.0, clipped=0.0, tokens=0.0, ratio=-math.inf)
    assert empty.measurements("critic/loss") == {"critic/loss": Measurement(0.0)}


def test_micro_batches_that_report_other_names_are_an_error():
    other = StepTotals.of(Loss(torch.tensor(1.0)))
    with pytest.raises(ValueError, match="each must report the same"):
        make_totals().plus(other)


def test_totals_keep_no_graph_and_add_in_float64():
    totals = make_totals(loss=1e8).plus(make_totals(loss=1e-4))
    assert not totals.sums.requires_grad
    assert totals.measurements("policy/loss")["policy/loss"].total == pytest.approx(1e8 + 1e-4)
    assert totals.measurements("policy/loss")["policy/loss"].total != 1e8
