"""The clipped surrogate: by hand, its gradients' signs, its bounds."""

import math

import pytest
import torch

from openrlhf_core.algorithms.policy_loss import clipped_surrogate


def surrogate(ratios, advantages, clip_low=0.2, clip_high=0.2, dual_clip=None):
    logprobs = torch.tensor(ratios, dtype=torch.float64).log().requires_grad_()
    result = clipped_surrogate(
        logprobs,
        torch.zeros_like(logprobs),
        torch.tensor(advantages, dtype=torch.float64),
        clip_low=clip_low,
        clip_high=clip_high,
        dual_clip=dual_clip,
    )
    result.losses.sum().backward()
    return result, logprobs.grad


def test_losses_equal_the_hand_computed_ones():
    # r = 1, 1.5, 0.5, 1.5, 0.5 with A = 2, 2, 2, -2, -2; clip range 0.8..1.2
    #   -2; max(-3, -2.4) = -2.4; max(-1, -1.6) = -1; max(3, 2.4) = 3; max(1, 1.6) = 1.6
    result, _ = surrogate([1.0, 1.5, 0.5, 1.5, 0.5], [2.0, 2.0, 2.0, -2.0, -2.0])
    assert result.losses.tolist() == pytest.approx([-2.0, -2.4, -1.0, 3.0, 1.6])
    assert result.is_clipped.tolist() == [False, True, False, False, True]
    assert result.ratios.tolist() == pytest.approx([1.0, 1.5, 0.5, 1.5, 0.5])


def test_a_clipped_token_has_no_gradient_and_others_follow_the_advantage():
    # d(-rA)/d logprob = -rA
    _, gradient = surrogate([1.0, 1.5, 0.5, 1.5, 0.5], [2.0, 2.0, 2.0, -2.0, -2.0])
    assert gradient.tolist() == pytest.approx([-2.0, 0.0, -1.0, 3.0, 0.0])


def test_at_ratio_one_the_gradient_is_the_policy_gradient():
    _, gradient = surrogate([1.0, 1.0, 1.0], [0.7, -0.3, 0.0])
    assert gradient.tolist() == pytest.approx([-0.7, 0.3, 0.0])


def test_higher_upper_bound_lets_rare_tokens_rise_further():
    # DAPO's clip_high 0.28: r = 1.25 is inside, with A = 1 the loss is -1.25 and not -1.2.
    result, gradient = surrogate([1.25], [1.0], clip_high=0.28)
    assert result.losses.item() == pytest.approx(-1.25)
    assert gradient.item() == pytest.approx(-1.25)


def test_dual_clip_bounds_the_loss_of_negative_advantages_only():
    # c = 3: r = 10, A = -1: max(10, 1.2) = 10 -> 3, no gradient; r = 2: 2 stays. A = 1: -1.2.
    result, gradient = surrogate([10.0, 2.0, 10.0], [-1.0, -1.0, 1.0], dual_clip=3.0)
    assert result.losses.tolist() == pytest.approx([3.0, 2.0, -1.2])
    assert gradient.tolist() == pytest.approx([0.0, 2.0, 0.0])
    assert result.is_clipped.tolist() == [True, False, True]


@pytest.mark.parametrize("log_ratio", [-1e4, 1e4])
@pytest.mark.parametrize("advantage", [-1.0, 1.0])
def test_extreme_ratios_stay_finite_in_float32(log_ratio, advantage):
    logprobs = torch.tensor([log_ratio], requires_grad=True)
    result = clipped_surrogate(
        logprobs,
        torch.zeros(1),
        torch.tensor([advantage]),
        clip_low=0.2,
        clip_high=0.2,
        dual_clip=None,
    )
    result.losses.sum().backward()
    assert math.isfinite(result.losses.item())
    assert logprobs.grad is not None
    assert math.isfinite(logprobs.grad.item())


def test_gradient_equals_the_numerical_one():
    generator = torch.Generator().manual_seed(1)
    logprobs = torch.randn(20, generator=generator, dtype=torch.float64)
    old, advantages = (torch.randn(20, generator=generator, dtype=torch.float64) for _ in range(2))

    def losses(values):
        result = clipped_surrogate(
            values, old, advantages, clip_low=0.2, clip_high=0.3, dual_clip=2.0
        )
        return result.losses

    assert torch.autograd.gradcheck(losses, (logprobs.requires_grad_(),))
