"""What a learner is told when it is made, each a slice of the training spec."""

from dataclasses import dataclass
from pathlib import Path

from openrlhf_core.models.load import Attention, DeviceKind, Dtype
from openrlhf_core.spec.kinds.learner import OptimizerSpec
from openrlhf_core.spec.planning.presets import KLSettings, PolicyLossSettings


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
    """Which model, and how it is held and run."""

    directory: Path
    dtype: Dtype
    temperature: float
    """Log-probs are those after division by it, as the rollout engine's are."""
    pad_id: int
    packing: bool = False
    attention: Attention = "Auto"
    trust_remote_code: bool = False


@dataclass(frozen=True)
class TrainingSettings:
    """How weights are updated."""

    optimizer: OptimizerSpec
    total_steps: int
    """Optimizer steps of the whole run, for the learning rate's schedule."""
    zero_stage: int
    gradient_checkpointing: bool
    seed: int


@dataclass(frozen=True)
class PolicyObjective:
    """The loss of recipe RL, with every choice made."""

    policy_loss: PolicyLossSettings
    kl: KLSettings
    entropy_coefficient: float
    max_completion_tokens: int
    """Longest completion, by which aggregation ConstantLength divides."""
