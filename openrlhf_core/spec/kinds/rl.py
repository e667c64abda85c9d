"""`training.rl`: the algorithm. A field without a value is filled by the algorithm's preset."""

from typing import Annotated, Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import Fraction, NonNegativeFloat, PositiveInt, SpecModel

Algorithm = Literal[
    "GRPO",
    "DrGRPO",
    "RLOO",
    "ReinforcePlusPlus",
    "ReinforcePlusPlusBaseline",
]
Estimator = Literal[
    "GroupNorm",
    "GroupMean",
    "LeaveOneOut",
    "Return",
]
Normalization = Literal["None", "Center", "Whiten"]
Aggregation = Literal["TokenMean", "SequenceMean", "MicroBatchTokenMean", "ConstantLength"]
KLEstimator = Literal["K1", "K2", "K3"]


class AdvantageSpec(SpecModel):
    """How scores become advantages."""

    estimator: Estimator | None = Field(
        None,
        description="Baseline. GroupNorm: (score - group mean) / group standard deviation; "
        "GroupMean: score - group mean; LeaveOneOut: score - mean of the group's other "
        "completions; Return: no baseline. Default: the preset's.",
    )
    gamma: Fraction | None = Field(
        None, description="Discount of later token rewards. Default: the preset's."
    )
    normalization: Normalization | None = Field(
        None,
        description="Over all tokens of the rollout batch: Whiten to mean 0 and variance 1, "
        "Center to mean 0, or None. Default: the preset's.",
    )


class PolicyLossSpec(SpecModel):
    """The clipped surrogate (PPO, arXiv:1707.06347, equation 7)."""

    clip_low: Fraction | None = Field(
        None, description="The ratio is clipped below at 1 - clipLow. Default: the preset's."
    )
    clip_high: NonNegativeFloat | None = Field(
        None, description="The ratio is clipped above at 1 + clipHigh. Default: the preset's."
    )
    dual_clip: Annotated[float, Field(gt=1, le=1e6)] | None = Field(
        None,
        description="Bound on the loss of negative advantages, as a factor of the advantage "
        "(arXiv:1912.09729, equation 5). Default: no bound.",
    )
    aggregation: Aggregation | None = Field(
        None,
        description="TokenMean: mean over all tokens of the optimizer step. SequenceMean: mean "
        "over samples of each sample's token mean. ConstantLength: sum over tokens divided by "
        "samples x rollout.sampling.maxTokens. MicroBatchTokenMean: token mean of each "
        "micro-batch, then their mean, as OpenRLHF 0.7. Default: the preset's.",
    )


class KLSpec(SpecModel):
    """The penalty that keeps the policy close to the reference."""

    coefficient: NonNegativeFloat | None = Field(
        None,
        description="Factor of the KL divergence; 0 loads no reference. Default: the preset's.",
    )
    placement: Literal["Reward", "Loss"] | None = Field(
        None, description="Subtract it from token rewards or add it to the loss. Default: preset."
    )
    estimator: KLEstimator | None = Field(
        None, description="Per-token estimator (joschu.net/blog/kl-approx.html). Default: preset."
    )


class RLSpec(SpecModel):
    """Reinforcement learning from scores."""

    algorithm: Algorithm = Field(description="The preset that fills the fields below.")
    group_size: Annotated[int, Field(ge=1, le=1024)] = Field(
        8, description="Completions for each prompt."
    )
    rollout_batch_size: PositiveInt = Field(128, description="Prompts a step.")
    epochs_per_rollout: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Passes over the completions of a step."
    )
    advantage: AdvantageSpec = Field(AdvantageSpec(), description="How scores become advantages.")
    policy_loss: PolicyLossSpec = Field(PolicyLossSpec(), description="The clipped surrogate.")
    kl: KLSpec = Field(
        KLSpec(), description="The penalty that keeps the policy close to the reference."
    )
    entropy_coefficient: NonNegativeFloat = Field(0.0, description="Factor of the entropy bonus.")
