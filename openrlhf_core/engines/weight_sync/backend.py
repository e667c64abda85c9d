"""Decides which transport carries weights."""

from typing import Literal

from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.formats import DeviceKind
from openrlhf_core.spec.planning.plan import Sharing

RequestedBackend = Literal["Auto", "NCCL", "CUDAIPC", "Gloo"]
SyncBackend = Literal["gloo", "nccl", "ipc"]
"""Name under which vLLM knows the transport."""

_BY_SHARING: dict[Sharing, SyncBackend] = {"all": "ipc", "some": "gloo", "none": "nccl"}


def choose_backend(
    requested: RequestedBackend, device_kind: DeviceKind, sharing: Sharing
) -> SyncBackend:
    """The transport for `training.weightSync.backend`.

    `sharing`: how many of the engines share devices with the learner. Where some do and some do
    not, weights go through host memory. ConfigurationError: the transport asked for cannot work.
    """
    if requested == "Gloo":
        return "gloo"
    if requested == "Auto":
        return "gloo" if device_kind == "CPU" else _BY_SHARING[sharing]
    if device_kind == "CPU":
        raise ConfigurationError(
            f"training.weightSync.backend is {requested}: it needs CUDA devices, and this run has "
            "none; use Auto or Gloo"
        )
    if requested == "CUDAIPC" and sharing != "all":
        raise ConfigurationError(
            "training.weightSync.backend is CUDAIPC: it hands over memory of a shared device, and "
            "not every engine shares its devices with the policy; use Auto or NCCL, or put Policy "
            "and Rollout in one worker group of training.placement"
        )
    if requested == "NCCL" and sharing != "none":
        raise ConfigurationError(
            "training.weightSync.backend is NCCL: it needs a device of its own on each side, and "
            "the engines share theirs with the policy; use Auto or CUDAIPC, or give Rollout a "
            "worker group of its own in training.placement"
        )
    return "ipc" if requested == "CUDAIPC" else "nccl"
