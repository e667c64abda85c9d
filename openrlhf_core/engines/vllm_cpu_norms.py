"""vLLM's compiled RMSNorm for engines on CPU.

vLLM offers its compiled kernels for this operation to GPUs only, and takes six PyTorch calls a norm
on CPU, although its CPU build brings the kernels. Its own interface for other implementations
(`vllm.ir`) takes them as another provider. Remove this module when vLLM chooses them by itself.
"""

import torch
from torch import Tensor
from vllm import ir
from vllm.platforms import current_platform

PROVIDER = "openrlhf_cpu"


def norm_priority() -> dict[str, list[str]]:
    """The argument `ir_op_priority` of an engine on CPU; vLLM appends what it falls back to."""
    register_cpu_norms()
    return {"rms_norm": [PROVIDER], "fused_add_rms_norm": [PROVIDER]}


def register_cpu_norms() -> None:
    """Makes the provider known to vLLM in this process, once."""
    if PROVIDER in ir.ops.rms_norm.impls:
        return
    current_platform.import_kernels()
    ir.ops.rms_norm.register_impl(PROVIDER, supports_args=_can_normalize)(rms_norm)
    ir.ops.fused_add_rms_norm.register_impl(
        PROVIDER, supports_args=_can_add_and_normalize, inplace=True
    )(fused_add_rms_norm)


def rms_norm(
    x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> Tensor:
    """x * weight / sqrt(mean(x^2) + epsilon) over the last dimension (arXiv:1910.07467)."""
    output = torch.empty_like(x)
    torch.ops._C.rms_norm(output, x, weight, epsilon)
    return output


def fused_add_rms_norm(
    x: Tensor,
    x_residual: Tensor,
    weight: Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The same of x + x_residual, and that sum; both are written over the inputs."""
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual


def _can_normalize(
    x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> bool:
    """float32 rows without gaps, normalized whole; in bfloat16 the kernels round once more."""
    has_weight = weight is not None and weight.dtype == x.dtype == torch.float32
    return variance_size is None and has_weight and x.ndim == 2 and x.is_contiguous()


def _can_add_and_normalize(
    x: Tensor,
    x_residual: Tensor,
    weight: Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> bool:
    is_plain = _can_normalize(x, weight, epsilon, variance_size)
    return is_plain and x_residual.dtype == x.dtype and x_residual.is_contiguous()
