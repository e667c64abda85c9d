"""The loss of a micro-batch with all its terms, by hand, and the metrics made of its sums."""

import math

import numpy as np
import pytest
import torch

from openrlhf_core.algorithms.aggregate import StepCounts
from openrlhf_core.engines.collate import collate
from openrlhf_core.engines.learner_settings import PolicyObjective
from openrlhf_core.engines.policy_step import StepSums, policy_metrics, policy_step
from openrlhf_core.samples import TrainSample
from openrlhf_core.spec.planning.presets import KLSettings, PolicyLossSettings

COUNTS = StepCounts(num_action_tokens=2, num_samples=1, num_micro_batches=1)


def make_objective(kl=0.0, placement="Loss", entropy=0.0):
    return PolicyObjective(
        policy_loss=PolicyLossSettings(0.2, 0.2, None, "TokenMean"),
        kl=KLSettings(kl, placement, "K1"),
        entropy_coefficient=entropy,
        max_completion_tokens=4,
    )


def make_batch(old=None, ref=None, advantage=1.0):
    def row(value):
        return None if value is None else np.array([0, value, value], np.float32)

    mask = np.array([False, True, True])
    ids = np.array([5, 6, 7], np.int32)
    return collate(
        [TrainSample(ids, mask, row(advantage), row(-1.1), row(old), row(ref))], 0, False
    )


def step(batch, objective):
    logprobs = torch.tensor([[0.0, -1.0, -1.0]], requires_grad=True)
    entropies = torch.tensor([[0.0, 2.0, 2.0]], requires_grad=True)
    loss, sums = policy_step(batch, logprobs, entropies, objective, COUNTS)
    loss.backward()
    return loss.item(), sums, logprobs.grad, entropies.grad


def test_first_update_is_the_plain_policy_gradient():
    loss, sums, gradient, entropy_gradient = step(make_batch(), make_objective())
    assert loss == pytest.approx(-1.0)
    assert gradient.tolist() == [[0.0, -0.5, -0.5]]
    assert entropy_gradient is None
    metrics = policy_metrics(sums, 2, has_reference=False)
    assert metrics["ratio/max"] == 1.0
    assert metrics["policy/clip_ratio"] == metrics["policy/approx_kl"] == 0.0
    assert "kl/mean" not in metrics


def test_old_logprobs_make_ratios_that_are_clipped():
    # ratio exp(-1 + 1.5) = 1.6487 > 1.2: loss -1.2, no gradient, approx kl e^0.5 - 1 - 0.5
    loss, sums, gradient, _ = step(make_batch(old=-1.5), make_objective())
    metrics = policy_metrics(sums, 2, has_reference=False)
    assert loss == pytest.approx(-1.2)
    assert gradient.abs().sum().item() == 0.0
    assert metrics["policy/clip_ratio"] == 1.0
    assert metrics["ratio/max"] == pytest.approx(math.exp(0.5))
    assert metrics["policy/approx_kl"] == pytest.approx(math.exp(0.5) - 1.5, abs=1e-6)


def test_kl_in_the_loss_adds_its_term_and_is_reported():
    # K1 = -1 + 1.3 = 0.3 a token; loss -1 + 0.5 x 0.3; gradient -0.5 + 0.25
    loss, sums, gradient, _ = step(make_batch(ref=-1.3), make_objective(kl=0.5))
    assert loss == pytest.approx(-0.85)
    assert gradient[0, 1].item() == pytest.approx(-0.25)
    assert policy_metrics(sums, 2, has_reference=True)["kl/mean"] == pytest.approx(0.3)


def test_kl_in_the_reward_is_reported_and_not_added_again():
    loss, sums, _, _ = step(make_batch(ref=-1.3), make_objective(kl=0.5, placement="Reward"))
    assert loss == pytest.approx(-1.0)
    assert policy_metrics(sums, 2, has_reference=True)["kl/mean"] == pytest.approx(0.3)


def test_entropy_bonus_lowers_the_loss_and_raises_entropy():
    loss, sums, _, entropy_gradient = step(make_batch(), make_objective(entropy=0.1))
    assert loss == pytest.approx(-1.2)
    assert entropy_gradient[0, 1].item() == pytest.approx(-0.05)
    assert policy_metrics(sums, 2, has_reference=False)["entropy/mean"] == pytest.approx(2.0)


def test_logprob_gap_is_between_engine_and_learner():
    _, sums, _, _ = step(make_batch(), make_objective())
    metrics = policy_metrics(sums, 2, has_reference=False)
    assert metrics["rollout/logprob_gap"] == pytest.approx(0.1, abs=1e-6)
    assert metrics["rollout/logprob_gap_max"] == pytest.approx(0.1, abs=1e-6)


def test_sums_of_micro_batches_add_and_maxima_compare():
    _, first, _, _ = step(make_batch(old=-1.5), make_objective())
    _, second, _, _ = step(make_batch(), make_objective())
    total = StepSums.zero(torch.device("cpu")).plus(first).plus(second)
    assert total.sums[0].item() == pytest.approx(-2.2)
    assert total.maxima[0].item() == pytest.approx(math.exp(0.5))


def test_step_without_action_tokens_reports_its_loss_alone():
    assert policy_metrics(StepSums.zero(torch.device("cpu")), 0, True) == {"policy/loss": 0.0}


def test_a_large_batch_of_equal_tokens_has_their_loss():
    batch = make_batch(advantage=-3.0)
    loss, _, gradient, _ = step(batch, make_objective())
    assert loss == pytest.approx(3.0)
    assert (gradient[0, 1:] > 0).all()
