"""Joins a learner's ranks into a process group and chooses each rank's device."""

import os
from datetime import timedelta

import torch
import torch.distributed as dist

from openrlhf_core.engines.learner_settings import Hardware, Rank
from openrlhf_core.spec.exit_codes import ConfigurationError


def take_device(hardware: Hardware, local_index: int) -> torch.device:
    """Returns this process's device and makes it current; ConfigurationError when it is missing."""
    if hardware.device_kind == "CPU":
        torch.set_num_threads(hardware.threads)
        return torch.device("cpu")
    if local_index >= torch.cuda.device_count():
        raise ConfigurationError(
            f"CUDA device {local_index} is wanted and this process sees "
            f"{torch.cuda.device_count()}; check placement.groups and CUDA_VISIBLE_DEVICES"
        )
    torch.cuda.set_device(local_index)
    return torch.device("cuda", local_index)


def join_process_group(rank: Rank, device: torch.device) -> None:
    """Blocks until all ranks have met at rank 0's address; NCCL on CUDA, gloo on CPU.

    A process joins once; further learners in it share the group.
    """
    if dist.is_initialized():
        return
    os.environ["LOCAL_RANK"] = str(rank.local_index)  # DeepSpeed reads it and nothing else
    host = f"[{rank.host}]" if ":" in rank.host else rank.host
    dist.init_process_group(
        backend="nccl" if device.type == "cuda" else "gloo",
        init_method=f"tcp://{host}:{rank.port}",
        rank=rank.index,
        world_size=rank.world_size,
        timeout=timedelta(seconds=rank.timeout_seconds),
        device_id=device if device.type == "cuda" else None,
    )


def open_control_group(device: torch.device) -> dist.ProcessGroup | None:
    """Returns a group for CPU tensors, so that ranks agree without waiting for their devices.

    None is the default group, which moves CPU tensors where learners run on CPU.
    """
    return dist.new_group(backend="gloo") if device.type == "cuda" else None
