"""KL estimators: by hand, unbiased over the whole vocabulary, finite with the right sign."""

import math

import oracle_cases
import pytest
import torch

from openrlhf_core.algorithms.kl import EXPONENT_BOUND, bounded_expm1, kl_per_token

ESTIMATORS = ("K1", "K2", "K3")
UNBIASED = "the option kl.unbiasedGradient does not exist yet"
IN_LOSS = "a case of the whole objective: objectives/test_policy_oracle.py"
LEFT_OUT = {
    "k1-unbiased-gradient": UNBIASED,
    "k2-unbiased-gradient": UNBIASED,
    "k3-unbiased-gradient": UNBIASED,
    "in-loss": IN_LOSS,
    "in-loss-infinite-where-masked": IN_LOSS,
}


@pytest.mark.parametrize("case", oracle_cases.cases("kl", LEFT_OUT))
def test_values_and_gradients_agree_with_the_oracle(case):
    logprobs = torch.tensor(case.inputs["logprobs"], requires_grad=True)
    reference = torch.tensor(case.inputs["ref_logprobs"])
    kl = kl_per_token(logprobs, reference, case.settings["estimator"])
    kl.sum().backward()
    case.assert_agrees(kl.detach(), case.expected["kl"])
    case.assert_agrees(logprobs.grad, case.gradients["logprobs"])


@pytest.mark.parametrize(
    ("estimator", "expected"),
    # d = -1 - (-1.5) = 0.5: K1 0.5; K2 0.125; K3 exp(-0.5) - 1 + 0.5 = 0.106531
    [("K1", 0.5), ("K2", 0.125), ("K3", math.exp(-0.5) - 0.5)],
)
def test_estimator_equals_the_hand_computed_value(estimator, expected):
    kl = kl_per_token(torch.tensor([-1.0]), torch.tensor([-1.5]), estimator)
    assert kl.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_equal_models_are_at_distance_zero(estimator):
    logprobs = torch.tensor([-0.1, -3.0])
    assert kl_per_token(logprobs, logprobs.clone(), estimator).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("estimator", ["K1", "K3"])
def test_mean_over_the_policy_is_the_exact_divergence(estimator):
    generator = torch.Generator().manual_seed(0)
    policy = torch.randn(50, generator=generator, dtype=torch.float64).log_softmax(0)
    reference = torch.randn(50, generator=generator, dtype=torch.float64).log_softmax(0)
    exact = (policy.exp() * (policy - reference)).sum()
    estimate = (policy.exp() * kl_per_token(policy, reference, estimator)).sum()
    assert estimate.item() == pytest.approx(exact.item(), abs=1e-12)


@pytest.mark.parametrize("scale", [1e-7, 1e-6, 1e-5, 1e-4, 1e-2, 1.0, 30.0])
def test_k3_in_float32_is_never_negative(scale):
    generator = torch.Generator().manual_seed(0)
    logprobs = -5 * torch.rand(100_000, generator=generator)
    reference = logprobs + scale * torch.randn(logprobs.shape, generator=generator)
    assert (kl_per_token(logprobs, reference, "K3") >= 0).all()


@pytest.mark.parametrize("difference", [1e-4, 3e-4, 1e-3, -1e-4])
def test_k3_in_float32_keeps_the_digits_of_small_differences(difference):
    # exp(-d) - 1 + d = d^2 / 2 - d^3 / 6 + ...; for d = 1e-4 it is 5.0e-9, and 1 + 5e-9 rounds to 1
    kl = kl_per_token(torch.tensor([difference]), torch.zeros(1), "K3")
    assert kl.item() == pytest.approx(difference**2 / 2 - difference**3 / 6, rel=2e-3)


@pytest.mark.parametrize("estimator", ["K2", "K3"])
@pytest.mark.parametrize("difference", [-200.0, -11.0, -0.5, 0.5, 11.0, 200.0])
def test_gradient_is_finite_and_pulls_towards_the_reference(estimator, difference):
    logprobs = torch.tensor([difference], requires_grad=True)
    kl = kl_per_token(logprobs, torch.zeros(1), estimator)
    kl.sum().backward()
    assert torch.isfinite(kl).all()
    assert logprobs.grad is not None
    assert torch.isfinite(logprobs.grad).all()
    assert math.copysign(1, logprobs.grad.item()) == math.copysign(1, difference)


def test_gradient_equals_the_numerical_one_also_beyond_the_bound():
    exponents = torch.tensor([-1.0, 0.0, EXPONENT_BOUND - 0.5, EXPONENT_BOUND + 0.5]).double()
    assert torch.autograd.gradcheck(bounded_expm1, (exponents.requires_grad_(),))


def test_bounded_expm1_goes_on_as_the_tangent():
    beyond = bounded_expm1(torch.tensor([EXPONENT_BOUND, EXPONENT_BOUND + 1.0]).double())
    assert beyond[0].item() == pytest.approx(math.exp(EXPONENT_BOUND) - 1)
    assert beyond[1].item() == pytest.approx(2 * math.exp(EXPONENT_BOUND) - 1)
