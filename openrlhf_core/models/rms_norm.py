"""Root mean square normalization whose gradient is written out.

Automatic differentiation of the formula reads and writes each activation about twenty times and
keeps three copies of it; the closed form passes over it six times and keeps the input. PyTorch
fuses the operation on GPUs only, so this serves CPU.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

PLAIN_NORMS = ("LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm")
"""Classes of transformers that compute exactly this; others scale by 1 + weight, or gate."""


class RMSNorm(nn.Module):
    """Stands in for a model's norm: the same Parameter under the same name."""

    def __init__(self, weight: nn.Parameter, epsilon: float) -> None:
        super().__init__()
        self.weight = weight
        self.epsilon = epsilon

    def forward(self, hidden: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch hidden"]:
        return rms_norm(hidden, self.weight, self.epsilon)


def replace_rms_norms(model: nn.Module) -> int:
    """Puts `RMSNorm` in the place of every norm that computes the same; returns how many."""
    found: list[tuple[nn.Module, str, Any]] = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child).__name__ in PLAIN_NORMS
    ]
    for parent, name, child in found:
        setattr(parent, name, RMSNorm(child.weight, child.variance_epsilon))
    return len(found)


def rms_norm(
    hidden: Float[Tensor, "*batch hidden"], weight: Float[Tensor, "hidden"], epsilon: float
) -> Float[Tensor, "*batch hidden"]:
    """weight * x / sqrt(mean(x^2) + epsilon) over the last dimension; differentiable once.

    Zhang and Sennrich, arXiv:1910.07467, equation 4.
    """
    normalized: Tensor = _RMSNorm.apply(hidden, weight, epsilon)  # type: ignore[no-untyped-call]
    return normalized


class _RMSNorm(torch.autograd.Function):
    """With r = 1 / sqrt(mean(x^2) + epsilon), n the width and g the gradient of the output:
    dx = r g weight - x r^3 sum(g weight x) / n  and  dweight = the sum over rows of g x r.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        rows = hidden.reshape(-1, hidden.shape[-1])  # [rows, hidden]
        squares = torch.linalg.vector_norm(rows, dim=1, keepdim=True).square_()
        inverse = squares.div_(rows.shape[1]).add_(epsilon).rsqrt_()  # [rows, 1]
        ctx.save_for_backward(rows, weight, inverse)
        output: Tensor = (rows * inverse).mul_(weight)
        return output.view(hidden.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, weight, inverse = ctx.saved_tensors
        products = grad.reshape(rows.shape) * rows
        weight_grad = inverse[:, 0] @ products
        slopes = (products @ weight)[:, None].mul_(inverse.pow(3)).div_(-rows.shape[1])
        scaled = torch.mul(grad.reshape(rows.shape), weight, out=products).mul_(inverse)
        return scaled.addcmul_(rows, slopes).view(grad.shape), weight_grad, None
