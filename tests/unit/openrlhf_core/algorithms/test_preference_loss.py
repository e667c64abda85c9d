"""DPO, IPO and cDPO: by hand, against the oracle's numbers, and their gradients."""

import json
import math
from pathlib import Path

import pytest
import torch

from openrlhf_core.algorithms.preference_loss import preference_losses

ORACLE = Path(__file__).parents[3] / "oracle" / "preference.json"
CASES = json.loads(ORACLE.read_text())["cases"]
RESPONSES = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")
SUMMED = [case for case in CASES if RESPONSES[0] in case["inputs"]]


def losses_of(case, responses):
    settings = case["settings"]
    return preference_losses(
        *responses,
        kind=settings["loss"],
        beta=settings["beta"],
        label_smoothing=settings["label_smoothing"],
    )


@pytest.mark.parametrize("case", SUMMED, ids=lambda case: case["name"])
def test_losses_rewards_and_gradients_equal_the_oracle(case) -> None:
    responses = [
        torch.tensor(case["inputs"][name], dtype=torch.float64, requires_grad=True)
        for name in RESPONSES
    ]
    found = losses_of(case, responses)
    found.losses.mean().backward()
    expected, tolerance = case["expected"], case["tolerance"]

    def close(got, wanted):
        wanted = torch.tensor(wanted, dtype=torch.float64)
        torch.testing.assert_close(got.detach(), wanted, **tolerance)

    close(found.losses, expected["pair_losses"])
    close(found.losses.mean(), expected["loss"])
    close(found.chosen_rewards, expected["chosen_rewards"])
    close(found.rejected_rewards, expected["rejected_rewards"])
    for name, response in zip(RESPONSES, responses, strict=True):
        if name in case.get("gradients", {}):
            close(response.grad, case["gradients"][name])


def pair(chosen: float, rejected: float = 0.0, kind="Sigmoid", smoothing: float = 0.0) -> float:
    values = [torch.tensor([value]) for value in (chosen, rejected, 0.0, 0.0)]
    found = preference_losses(*values, kind=kind, beta=0.5, label_smoothing=smoothing)
    return found.losses.item()


def test_by_hand() -> None:
    # x = 2, beta x = 1: -log sigmoid(1) = log(1 + e^-1)
    assert pair(2.0) == pytest.approx(math.log(1 + math.exp(-1)))
    # IPO: (2 - 1 / (2 * 0.5))^2 = 1
    assert pair(2.0, kind="IPO") == pytest.approx(1.0)
    # cDPO: 0.9 log(1 + e^-1) + 0.1 log(1 + e)
    expected = 0.9 * math.log(1 + math.exp(-1)) + 0.1 * math.log(1 + math.e)
    assert pair(2.0, smoothing=0.1) == pytest.approx(expected)


def test_what_both_responses_share_plays_no_part() -> None:
    assert pair(5.0, 3.0) == pytest.approx(pair(2.0, 0.0))


def test_rewards_have_no_gradient() -> None:
    values = [torch.tensor([1.0], requires_grad=True) for _ in range(4)]
    found = preference_losses(*values, kind="Sigmoid", beta=0.1, label_smoothing=0.0)
    assert not found.chosen_rewards.requires_grad
    assert not found.rejected_rewards.requires_grad
