"""The critic's loss against hand-computed numbers, its gradient, and its clip."""

import pytest
import torch

from openrlhf_core.algorithms.value_loss import clipped_value_loss


def test_without_a_clip_it_is_half_the_squared_error() -> None:
    values = torch.tensor([1.0, 2.0])
    found = clipped_value_loss(values, values, torch.tensor([0.0, 2.0]), clip=None)
    assert found.losses.tolist() == [0.5, 0.0]
    assert not found.is_clipped.any()


def test_the_larger_error_counts() -> None:
    # V 1.0 is clipped to 0.2 + 0.2 = 0.4; R 1.0: errors 0 and 0.36, the clipped one counts.
    # V 1.0 is clipped to 0.4; R -1.0: errors 4 and 1.96, the plain one counts.
    found = clipped_value_loss(
        torch.tensor([1.0, 1.0]), torch.tensor([0.2, 0.2]), torch.tensor([1.0, -1.0]), clip=0.2
    )
    torch.testing.assert_close(found.losses, torch.tensor([0.18, 2.0]))
    assert found.is_clipped.tolist() == [True, False]


def test_a_clipped_value_has_no_gradient() -> None:
    values = torch.tensor([1.0, 1.0, 0.3], requires_grad=True)
    old = torch.tensor([0.2, 0.2, 0.2])
    clipped_value_loss(
        values, old, torch.tensor([1.0, -1.0, 0.0]), clip=0.2
    ).losses.sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([0.0, 2.0, 0.3]))


@pytest.mark.parametrize("clip", [None, 0.3])
def test_gradients_equal_finite_differences(clip: float | None) -> None:
    torch.manual_seed(0)
    values = torch.randn(6, dtype=torch.float64, requires_grad=True)
    old, returns = torch.randn(2, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda v: clipped_value_loss(v, old, returns, clip=clip).losses.sum(), values
    )
