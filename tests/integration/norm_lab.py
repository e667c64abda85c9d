"""Compares vLLM's compiled norms with its own formula in PyTorch and prints what it finds as JSON.

test_rollout_norms.py starts it: vLLM takes seconds to import and changes the process that does it.
"""

import json
import os
from typing import Any

from openrlhf_core.engines.rollout_environment import engine_environment

os.environ.update(engine_environment("CPU", threads=1))

import torch
from vllm import ir

from openrlhf_core.engines.vllm_cpu_norms import norm_priority, register_cpu_norms

EPSILON = 1e-5
OPS = {"rms_norm": ir.ops.rms_norm, "fused_add_rms_norm": ir.ops.fused_add_rms_norm}


def gap(name: str, rows: int) -> float:
    """Largest difference of the compiled norm from the formula, over the largest value."""
    inputs = [torch.randn(rows, 96) for _ in range(1 + (name != "rms_norm"))]
    weight = torch.rand(96)
    expected = OPS[name].impls["native"].impl_fn(*inputs, weight, EPSILON)
    found = OPS[name].impls[norm_priority()[name][0]].impl_fn(*inputs, weight, EPSILON)
    pairs = [(expected, found)] if name == "rms_norm" else list(zip(expected, found, strict=True))
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)


def chosen(x: torch.Tensor, weight: torch.Tensor | None, *variance_size: int) -> str:
    """The provider that vLLM takes for these inputs."""
    with ir.ops.rms_norm.set_priority([*norm_priority()["rms_norm"], "native"]):
        return ir.ops.rms_norm.dispatch(x, weight, EPSILON, *variance_size).provider


def measure() -> dict[str, Any]:
    torch.manual_seed(0)
    register_cpu_norms()
    register_cpu_norms()
    weight = torch.ones(8)
    return {
        "gaps": {f"{name} of {rows} rows": gap(name, rows) for name in OPS for rows in (1, 7, 64)},
        "plain": chosen(torch.ones(3, 8), weight),
        "with gaps": chosen(torch.ones(3, 16)[:, :8], weight),
        "heads": chosen(torch.ones(3, 2, 8), weight),
        "no weight": chosen(torch.ones(3, 8), None),
        "bfloat16": chosen(torch.ones(3, 8).bfloat16(), weight.bfloat16()),
        "other dtype": chosen(torch.ones(3, 8).bfloat16(), weight),
        "part of a row": chosen(torch.ones(3, 8), weight, 4),
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
