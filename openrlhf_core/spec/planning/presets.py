"""Presets of the algorithms, and the settings of learner and engines with no field left open.

`openrlhf_core.spec.planning.resolve` is the caller; others take its result.

Presets hold what the papers and current practice say:
GRPO (arXiv:2402.03300) with token mean and no KL term, as DAPO (arXiv:2503.14476, sections 2.3 and
3.3) found better; Dr. GRPO (arXiv:2503.20783, section 3.2): no division by the group's deviation
nor by a sample's length; RLOO (arXiv:2402.14740): the others' mean as baseline, KL in the reward;
REINFORCE++ and its -baseline variant (arXiv:2501.03262, sections 3.1 and 3.2): advantages whitened
over the whole batch, KL as K1 in the reward, or as K2 in the loss.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from openrlhf_core.spec.kinds.formats import DType
from openrlhf_core.spec.kinds.learner import LearnerSpec
from openrlhf_core.spec.kinds.rl import (
    Aggregation,
    Algorithm,
    Estimator,
    KLEstimator,
    Normalization,
    RLSpec,
)
from openrlhf_core.spec.kinds.rollout import RolloutSpec, SamplingSpec

T = TypeVar("T")

DEFAULT_MAX_TOKENS_PER_MICRO_BATCH = 16384
DEFAULT_TRAIN_BATCH_SIZE = 128
"""Samples of an optimizer step in a recipe without rollouts."""
GROUP_ESTIMATORS: tuple[Estimator, ...] = (
    "GroupNorm",
    "GroupMean",
    "LeaveOneOut",
)
"""Estimators whose baseline is the group: with one completion every advantage is 0."""


@dataclass(frozen=True)
class AdvantageSettings:
    estimator: Estimator
    gamma: float
    normalization: Normalization


@dataclass(frozen=True)
class PolicyLossSettings:
    clip_low: float
    clip_high: float
    dual_clip: float | None
    """None: the loss is not bounded."""
    aggregation: Aggregation


@dataclass(frozen=True)
class KLSettings:
    coefficient: float
    placement: Literal["Reward", "Loss"]
    estimator: KLEstimator

    @property
    def needs_reference(self) -> bool:
        return self.coefficient > 0


@dataclass(frozen=True)
class Preset:
    """Values of one algorithm for the fields that a manifest does not set."""

    advantage: AdvantageSettings
    policy_loss: PolicyLossSettings
    kl: KLSettings


@dataclass(frozen=True)
class RLSettings:
    """Settings of recipe RL. Made by `resolve_rl`, read by recipe and learner."""

    advantage: AdvantageSettings
    policy_loss: PolicyLossSettings
    kl: KLSettings
    group_size: int
    rollout_batch_size: int
    epochs_per_rollout: int
    entropy_coefficient: float

    @property
    def num_samples(self) -> int:
        """Completions of one step."""
        return self.group_size * self.rollout_batch_size


@dataclass(frozen=True)
class LearnerSettings:
    """How one trained role is updated."""

    train_batch_size: int
    micro_batch_size: int | None
    """None: micro-batches are filled by max_tokens_per_micro_batch."""
    max_tokens_per_micro_batch: int | None
    """None: micro-batches hold micro_batch_size samples."""
    zero_stage: int
    gradient_checkpointing: bool
    dtype: DType


@dataclass(frozen=True)
class RolloutSettings:
    """Settings of the generation engines, with the fields of RolloutSpec."""

    tensor_parallel_size: int
    sampling: SamplingSpec
    memory_fraction: float
    kv_cache_bytes: int
    prefix_caching: bool
    enforce_eager: bool
    dtype: DType


_TOKEN_MEAN = PolicyLossSettings(0.2, 0.2, None, "TokenMean")
_NO_KL = KLSettings(0.0, "Loss", "K3")
_KL_IN_REWARD = KLSettings(0.01, "Reward", "K1")

PRESETS: dict[Algorithm, Preset] = {
    "GRPO": Preset(AdvantageSettings("GroupNorm", 1.0, "None"), _TOKEN_MEAN, _NO_KL),
    "DrGRPO": Preset(
        AdvantageSettings("GroupMean", 1.0, "None"),
        PolicyLossSettings(0.2, 0.2, None, "ConstantLength"),
        _NO_KL,
    ),
    "RLOO": Preset(AdvantageSettings("LeaveOneOut", 1.0, "None"), _TOKEN_MEAN, _KL_IN_REWARD),
    "ReinforcePlusPlus": Preset(
        AdvantageSettings("Return", 1.0, "Whiten"), _TOKEN_MEAN, _KL_IN_REWARD
    ),
    "ReinforcePlusPlusBaseline": Preset(
        AdvantageSettings("GroupMean", 1.0, "Whiten"), _TOKEN_MEAN, KLSettings(0.01, "Loss", "K2")
    ),
}


def algorithms_where(is_so: Callable[[Preset], bool]) -> list[Algorithm]:
    """The algorithms whose preset has a property."""
    return [name for name, preset in PRESETS.items() if is_so(preset)]


def resolve_rl(rl: RLSpec) -> RLSettings:
    """The values of the manifest, and of the preset where the manifest has none."""
    preset = PRESETS[rl.algorithm]
    return RLSettings(
        advantage=AdvantageSettings(
            estimator=_either(rl.advantage.estimator, preset.advantage.estimator),
            gamma=_either(rl.advantage.gamma, preset.advantage.gamma),
            normalization=_either(rl.advantage.normalization, preset.advantage.normalization),
        ),
        policy_loss=PolicyLossSettings(
            clip_low=_either(rl.policy_loss.clip_low, preset.policy_loss.clip_low),
            clip_high=_either(rl.policy_loss.clip_high, preset.policy_loss.clip_high),
            dual_clip=rl.policy_loss.dual_clip,
            aggregation=_either(rl.policy_loss.aggregation, preset.policy_loss.aggregation),
        ),
        kl=KLSettings(
            coefficient=_either(rl.kl.coefficient, preset.kl.coefficient),
            placement=_either(rl.kl.placement, preset.kl.placement),
            estimator=_either(rl.kl.estimator, preset.kl.estimator),
        ),
        group_size=rl.group_size,
        rollout_batch_size=rl.rollout_batch_size,
        epochs_per_rollout=rl.epochs_per_rollout,
        entropy_coefficient=rl.entropy_coefficient,
    )


def resolve_learner(learner: LearnerSpec, rl: RLSettings | None) -> LearnerSettings:
    """The learner's settings. By default one optimizer step takes all samples of a rollout."""
    batch = DEFAULT_TRAIN_BATCH_SIZE if rl is None else rl.num_samples
    by_tokens = learner.micro_batch_size is None
    max_tokens = _either(learner.max_tokens_per_micro_batch, DEFAULT_MAX_TOKENS_PER_MICRO_BATCH)
    return LearnerSettings(
        train_batch_size=_either(learner.train_batch_size, batch),
        micro_batch_size=learner.micro_batch_size,
        max_tokens_per_micro_batch=max_tokens if by_tokens else None,
        zero_stage=learner.zero_stage,
        gradient_checkpointing=learner.gradient_checkpointing,
        dtype=learner.dtype,
    )


def resolve_rollout(rollout: RolloutSpec, learner: LearnerSpec) -> RolloutSettings:
    """The engines' settings. By default they use the learner's number format."""
    return RolloutSettings(
        tensor_parallel_size=rollout.tensor_parallel_size,
        sampling=rollout.sampling,
        memory_fraction=rollout.memory_fraction,
        kv_cache_bytes=rollout.kv_cache_bytes,
        prefix_caching=rollout.prefix_caching,
        enforce_eager=rollout.enforce_eager,
        dtype=_either(rollout.dtype, learner.dtype),
    )


def _either(written: T | None, preset: T) -> T:
    return preset if written is None else written
