"""The catalogue of metrics: every name that a run may report, with unit and meaning.

The recorder refuses a name that is not here. The /metrics server takes help and unit from it, the
summary which way is progress, and learners how the optimizer steps of one step are merged.
"""

import difflib
import re
from dataclasses import dataclass
from typing import Literal

Unit = Literal["", "nats", "tokens", "samples", "seconds", "ratio", "updates", "passes", "versions"]
Better = Literal["higher", "lower"]
Merge = Literal["mean", "max", "sum", "first", "last"]


@dataclass(frozen=True)
class Metric:
    """One number a step. `name` is area/name."""

    name: str
    help: str
    unit: Unit = ""
    """Of the value; empty for a number without one. Ratios lie in 0..1."""
    is_leading: bool = False
    """Whether people look at it first: `rlhf status` shows it, and the status of an RLHFJob, which
    holds a limited number of metrics, has room for it before others."""
    better: Better | None = None
    """Which way is progress; None when neither is, or it depends."""
    merge: Merge = "mean"
    """How the optimizer steps of one step become one number, where each of them reports it."""

    @property
    def prometheus_name(self) -> str:
        """rlhf_area_name_unit; a unit that the name ends with is not repeated."""
        stem = "rlhf_" + re.sub(r"[^a-z0-9]", "_", self.name)
        words = stem.split("_")
        return stem if not self.unit or self.unit in words else f"{stem}_{self.unit}"


@dataclass(frozen=True)
class MetricFamily:
    """One metric for each of a few named things; in files area/<name of the thing>."""

    area: str
    label: str
    """Prometheus label that holds the name."""
    metric: Metric
    """Description of each member; its name is that of the whole family in Prometheus."""


CATALOGUE: tuple[Metric, ...] = (
    Metric("reward/mean", "Mean score of the scored completions.", "", True, "higher"),
    Metric("reward/std", "Standard deviation of the scores.", ""),
    Metric("reward/failed_ratio", "Completions whose reward call failed.", "ratio", False, "lower"),
    Metric("reward/uniform_group_ratio", "Groups whose scores are all equal.", "ratio"),
    Metric("kl/mean", "Mean KL divergence from the reference, a token.", "nats", True),
    Metric("entropy/mean", "Mean entropy of the policy, a token.", "nats", True),
    Metric("advantage/mean", "Mean advantage of the trained tokens."),
    Metric("advantage/std", "Standard deviation of the trained tokens' advantages."),
    Metric("response/length_mean", "Mean length of the completions.", "tokens", True),
    Metric("response/length_max", "Longest completion.", "tokens"),
    Metric("response/truncated_ratio", "Completions cut at their longest.", "ratio"),
    Metric("policy/loss", "Loss of the policy.", "", True),
    Metric("policy/clip_ratio", "Tokens whose ratio was clipped.", "ratio"),
    Metric("policy/approx_kl", "Mean KL divergence from the policy of the rollout.", "nats"),
    Metric("policy/grad_norm", "Norm of the gradient before clipping.", ""),
    Metric("policy/learning_rate", "Learning rate.", "", merge="last"),
    Metric(
        "policy/skipped_updates",
        "Optimizer steps that changed no weight, because loss or gradients were not finite.",
        "updates",
        merge="sum",
    ),
    Metric("ratio/max", "Largest ratio of new to old probability of a token.", "", merge="max"),
    # Later optimizer steps see weights that the engine never held.
    Metric(
        "rollout/logprob_gap",
        "Mean |engine - learner| of tokens' log-probs.",
        "nats",
        True,
        merge="first",
    ),
    Metric(
        "rollout/logprob_gap_max",
        "Largest |engine - learner| of a token's log-prob.",
        "nats",
        merge="first",
    ),
    Metric("rollout/num_samples", "Completions made.", "samples"),
    Metric("rollout/num_tokens", "Tokens of the completions made.", "tokens"),
    Metric(
        "rollout/tokens_per_second",
        "Tokens made a second of generation, over all engines.",
        "tokens",
        True,
        "higher",
    ),
    Metric(
        "rollout/policy_lag",
        "Versions that the tokens' policy is behind the trained one.",
        "versions",
    ),
    Metric("sft/loss", "Mean negative log-prob of a trained token.", "nats", True, "lower"),
    Metric("dpo/loss", "Mean loss of a preference pair.", "", True, "lower"),
    Metric("dpo/accuracy", "Pairs whose chosen response is preferred.", "ratio", True, "higher"),
    Metric("dpo/chosen_reward", "Mean implicit reward of the chosen responses.", "", True),
    Metric("dpo/rejected_reward", "Mean implicit reward of the rejected responses.", "", True),
    Metric("dpo/margin", "Mean difference of the two rewards.", "", True, "higher"),
    Metric("data/num_samples", "Samples trained on.", "samples"),
    Metric("data/num_tokens", "Tokens of the samples trained on.", "tokens"),
    Metric(
        "data/tokens_per_second",
        "Tokens trained on a second of the optimizer step, over all ranks.",
        "tokens",
        False,
        "higher",
    ),
    Metric("data/epoch", "Passes over the training data so far.", "passes"),
    Metric("time/step_seconds", "Wall time of the step.", "seconds", True, "lower"),
    Metric("time/rollout", "Wall time of generation.", "seconds"),
    Metric("time/reward", "Wall time of scoring.", "seconds"),
    Metric("time/logprob", "Wall time of the forward passes before training.", "seconds"),
    Metric("time/train", "Wall time of the optimizer steps.", "seconds"),
    Metric("time/weight_sync", "Wall time of bringing weights to the engines.", "seconds"),
    Metric("time/checkpoint", "Wall time of the last commit of a checkpoint.", "seconds"),
)

FAMILIES: tuple[MetricFamily, ...] = (
    MetricFamily(
        "reward_function",
        "function",
        Metric("reward_function/mean", "Mean raw score of one reward function."),
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in CATALOGUE}
LEADING: tuple[str, ...] = tuple(metric.name for metric in CATALOGUE if metric.is_leading)
_FAMILY_OF: dict[str, MetricFamily] = {family.area: family for family in FAMILIES}
_MEMBER = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def find_metric(name: str) -> tuple[Metric, dict[str, str]]:
    """The catalogue's entry for a name in a file, and its Prometheus labels.

    >>> find_metric("reward_function/digits")[1]
    {'function': 'digits'}

    Raises ValueError when the catalogue has no such metric.
    """
    if metric := METRICS.get(name):
        return metric, {}
    area, _, member = name.partition("/")
    family = _FAMILY_OF.get(area)
    if family is not None and _MEMBER.fullmatch(member):
        return family.metric, {family.label: member}
    near = difflib.get_close_matches(name, METRICS, n=1)
    hint = f"did you mean {near[0]}?" if near else "add it to openrlhf_core/spec/metrics.py"
    raise ValueError(f"{name!r} is not in the catalogue of metrics; {hint}")
