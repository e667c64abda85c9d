"""Moves a DeepSpeed engine's weights and optimizer states between device and host memory.

DeepSpeed does it for ZeRO 1 and 2. For ZeRO 3 it moves the optimizer states of its own fused Adam
only, and for stage 0 nothing. This module moves the rest.
"""

from typing import Any

import torch
from deepspeed.runtime.zero.offload_config import OffloadStateTypeEnum

ZERO_3_STATES = (
    OffloadStateTypeEnum.lp_params,
    OffloadStateTypeEnum.lp_grads,
    OffloadStateTypeEnum.contiguous_grad_buffer,
)


def move_to_host(engine: Any, adamw: torch.optim.AdamW, zero_stage: int) -> None:
    """Moves weights and optimizer states to host memory and releases the device's cache."""
    on_cuda = engine.device.type == "cuda"
    if zero_stage == 0:
        engine.module.to("cpu")
    else:
        states = ZERO_3_STATES if zero_stage == 3 else None
        engine.offload_states(include=states, pin_memory=on_cuda)
    if zero_stage in (0, 3):
        move_optimizer(adamw, torch.device("cpu"))
    if on_cuda:
        torch.cuda.empty_cache()


def move_to_device(
    engine: Any, adamw: torch.optim.AdamW, zero_stage: int, device: torch.device
) -> None:
    """Undoes `move_to_host`."""
    if zero_stage == 0:
        engine.module.to(device)
    else:
        engine.reload_states()
    if zero_stage in (0, 3):
        move_optimizer(adamw, device)


def move_optimizer(adamw: torch.optim.AdamW, device: torch.device) -> None:
    """Moves master weights and moments in place: DeepSpeed holds references to the tensors."""
    grouped = [parameter for group in adamw.param_groups for parameter in group["params"]]
    for parameter in (*grouped, *adamw.state):  # ZeRO 3 fills the groups during a step only
        parameter.data = parameter.data.to(device)
    for state in adamw.state.values():
        for name, value in state.items():
            if torch.is_tensor(value) and name != "step":
                value.data = value.data.to(device)
