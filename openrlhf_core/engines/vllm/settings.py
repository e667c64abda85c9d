"""What a rollout engine is made with, besides its model directory. Needs no vLLM."""

from dataclasses import dataclass

from openrlhf_core.engines.weight_sync.backend import SyncBackend
from openrlhf_core.spec.kinds.formats import DeviceKind, DType
from openrlhf_core.spec.kinds.rollout import RolloutSpec


@dataclass(frozen=True)
class EngineSettings:
    """Made by the driver, read by the engine."""

    spec: RolloutSpec
    max_sequence_length: int
    """Longest prompt and completion together, in tokens."""
    dtype: DType
    seed: int
    device_kind: DeviceKind
    sync_backend: SyncBackend
    can_sleep: bool = False
    """Whether `sleep` frees device memory; vLLM can do so on CUDA only."""
    trust_remote_code: bool = False
