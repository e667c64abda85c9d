"""What a learner is made with; each class is a slice of the training spec."""

from dataclasses import dataclass

from openrlhf_core.spec.kinds.formats import Attention, DeviceKind, DType
from openrlhf_core.spec.kinds.learner import OptimizerSpec


@dataclass(frozen=True)
class Rank:
    """One process among the learners and where they meet. Made by the driver."""

    index: int
    world_size: int
    host: str
    port: int
    """Rank 0 listens here."""
    local_index: int = 0
    """Which CUDA device of those that this process sees."""
    timeout_seconds: float = 1800.0
    """A collective that takes longer ends the process."""


@dataclass(frozen=True)
class Hardware:
    """What a process computes on."""

    device_kind: DeviceKind
    threads: int
    """OpenMP threads, on CPU."""


@dataclass(frozen=True)
class ModelSettings:
    """How a model is held and run; its directory and its output are given beside it."""

    dtype: DType
    pad_id: int
    packing: bool = False
    attention: Attention = "Auto"
    trust_remote_code: bool = False


@dataclass(frozen=True)
class TrainingSettings:
    """How the weights of one role are updated."""

    area: str
    """Names the optimizer's metrics, as `policy` in `policy/grad_norm`."""
    optimizer: OptimizerSpec
    total_steps: int
    """Optimizer steps of the whole run, for the learning rate's schedule."""
    zero_stage: int
    gradient_checkpointing: bool
    seed: int
