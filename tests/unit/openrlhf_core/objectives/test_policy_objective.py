"""The policy's loss with all its terms, by hand, and the sums that its metrics are made of."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from openrlhf_core.engines.collate import collate
from openrlhf_core.objectives.outputs import LogprobTensors, TokenLogprobs
from openrlhf_core.objectives.policy import PolicyObjective, PolicySample
from openrlhf_core.spec.planning.presets import KLSettings, PolicyLossSettings

IDS = np.array([5, 6, 7], np.int32)
MASK = np.array([False, True, True])


def make_objective(kl=0.0, placement="Loss", entropy=0.0):
    return PolicyObjective(
        policy_loss=PolicyLossSettings(0.2, 0.2, None, "TokenMean"),
        kl=KLSettings(kl, placement, "K1"),
        entropy_coefficient=entropy,
        output=TokenLogprobs(),
    )


def make_sample(old=None, ref=None, advantage=1.0):
    """One prompt token and two trained tokens."""

    def row(value):
        return None if value is None else np.array([0, value, value], np.float32)

    return PolicySample(IDS, MASK, row(advantage), row(-1.1), row(old), row(ref))


def make_batch(*samples, objective):
    weighted = [sample.with_loss_weight(1 / (2 * len(samples))) for sample in samples]
    return collate(weighted, objective.rows, 0, False)


def make_outputs(rows=1):
    logprobs = torch.tensor([[0.0, -1.0, -1.0]] * rows, requires_grad=True)
    entropies = torch.tensor([[0.0, 2.0, 2.0]] * rows, requires_grad=True)
    return LogprobTensors(logprobs, entropies)


def step(sample, objective):
    """Loss, metrics, and the gradients of log-probs and entropies."""
    outputs = make_outputs()
    loss = objective.loss(outputs, make_batch(sample, objective=objective))
    loss.total.backward()
    metrics = {name: (one.total / one.count).item() for name, one in loss.sums.items() if one.count}
    metrics |= {name: value.item() for name, value in loss.maxima.items()}
    return loss.total.item(), metrics, outputs.logprobs.grad, outputs.entropies.grad


def test_first_update_is_the_plain_policy_gradient():
    loss, metrics, gradient, entropy_gradient = step(make_sample(), make_objective())
    assert loss == pytest.approx(-1.0)
    assert gradient.tolist() == [[0.0, -0.5, -0.5]]
    assert entropy_gradient is None
    assert metrics["ratio/max"] == 1.0
    assert metrics["policy/clip_ratio"] == metrics["policy/approx_kl"] == 0.0
    assert "kl/mean" not in metrics


def test_old_logprobs_make_ratios_that_are_clipped():
    # ratio exp(-1 + 1.5) = 1.6487 > 1.2: loss -1.2, no gradient, approx kl e^0.5 - 1 - 0.5
    loss, metrics, gradient, _ = step(make_sample(old=-1.5), make_objective())
    assert loss == pytest.approx(-1.2)
    assert gradient.abs().sum().item() == 0.0
    assert metrics["policy/clip_ratio"] == 1.0
    assert metrics["ratio/max"] == pytest.approx(math.exp(0.5))
    assert metrics["policy/approx_kl"] == pytest.approx(math.exp(0.5) - 1.5, abs=1e-6)


def test_kl_in_the_loss_adds_its_term_and_is_reported():
    # K1 = -1 + 1.3 = 0.3 a token; loss -1 + 0.5 x 0.3; gradient -0.5 + 0.25
    loss, metrics, gradient, _ = step(make_sample(ref=-1.3), make_objective(kl=0.5))
    assert loss == pytest.approx(-0.85)
    assert gradient[0, 1].item() == pytest.approx(-0.25)
    assert metrics["kl/mean"] == pytest.approx(0.3)


def test_kl_in_the_reward_is_reported_and_not_added_again():
    loss, metrics, _, _ = step(make_sample(ref=-1.3), make_objective(kl=0.5, placement="Reward"))
    assert loss == pytest.approx(-1.0)
    assert metrics["kl/mean"] == pytest.approx(0.3)


def test_entropy_bonus_lowers_the_loss_and_raises_entropy():
    loss, metrics, _, entropy_gradient = step(make_sample(), make_objective(entropy=0.1))
    assert loss == pytest.approx(-1.2)
    assert entropy_gradient[0, 1].item() == pytest.approx(-0.05)
    assert metrics["entropy/mean"] == pytest.approx(2.0)


def test_logprob_gap_is_between_engine_and_learner():
    _, metrics, _, _ = step(make_sample(), make_objective())
    assert metrics["rollout/logprob_gap"] == pytest.approx(0.1, abs=1e-6)
    assert metrics["rollout/logprob_gap_max"] == pytest.approx(0.1, abs=1e-6)


def test_a_batch_of_samples_adds_up():
    objective = make_objective()
    samples = [make_sample(advantage=1.0), make_sample(advantage=-3.0)]
    loss = objective.loss(make_outputs(2), make_batch(*samples, objective=objective))
    assert loss.total.item() == pytest.approx((-1.0 + 3.0) / 2)
    assert loss.sums["entropy/mean"].total.item() == 8.0
    assert loss.sums["entropy/mean"].count.item() == 4


def test_an_empty_batch_reports_the_same_names_over_nothing():
    objective = make_objective(kl=0.1)
    full = objective.loss(make_outputs(), make_batch(make_sample(ref=-1.0), objective=objective))
    tensors = LogprobTensors(torch.zeros(1, 2, requires_grad=True), torch.zeros(1, 2))
    empty = objective.loss(tensors, collate([], objective.rows, 0, False))
    assert empty.sums.keys() == full.sums.keys()
    assert empty.maxima.keys() == full.maxima.keys()
    assert {one.count.item() for one in empty.sums.values()} == {0}
    assert {value.item() for value in empty.maxima.values()} == {-torch.inf}
    empty.total.backward()
    assert tensors.logprobs.grad is not None
    assert tensors.logprobs.grad.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("where", ["old_logprobs", "ref_logprobs", "rollout_logprobs", "outputs"])
@pytest.mark.parametrize("value", [-math.inf, math.nan])
def test_what_is_not_finite_at_the_prompt_changes_nothing(where, value):
    objective = make_objective(kl=0.5, entropy=0.1)
    sample, outputs = make_sample(old=-1.2, ref=-1.3), make_outputs()
    expected, _, gradient, _ = step(sample, objective)
    broken = np.array([value, 1.0, 1.0], np.float32)
    if where == "outputs":
        outputs = LogprobTensors(*(one.detach() for one in outputs))
        outputs.logprobs[0, 0] = outputs.entropies[0, 0] = value
        outputs.logprobs.requires_grad_()
    else:
        kept = np.where(MASK, getattr(sample, where), broken).astype(np.float32)
        sample = replace(sample, **{where: kept})
    loss = objective.loss(outputs, make_batch(sample, objective=objective))
    loss.total.backward()
    assert loss.total.item() == expected
    assert outputs.logprobs.grad is not None
    assert outputs.logprobs.grad.tolist() == gradient.tolist()


def test_samples_that_disagree_are_refused():
    objective = make_objective()
    batch = make_batch(make_sample(ref=-1.0), make_sample(), objective=objective)
    with pytest.raises(ValueError, match="ref_logprobs is None in 1 of 2 samples"):
        objective.loss(make_outputs(2), batch)


def test_a_sample_that_was_not_planned_is_refused():
    with pytest.raises(ValueError, match="plan_updates adds them"):
        make_objective().rows(make_sample())


def test_a_negative_advantage_makes_tokens_less_likely():
    loss, _, gradient, _ = step(make_sample(advantage=-3.0), make_objective())
    assert loss == pytest.approx(3.0)
    assert (gradient[0, 1:] > 0).all()
