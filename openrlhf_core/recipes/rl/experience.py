"""Turns scored rollouts into training samples, and describes a step's rollouts in metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from openrlhf_core.algorithms.advantages import compute_advantages
from openrlhf_core.algorithms.kl import kl_per_token
from openrlhf_core.objectives.policy import PolicySample
from openrlhf_core.samples import Rollout, ScoredRollout
from openrlhf_core.spec.planning.presets import KLSettings, RLSettings


@dataclass(frozen=True, eq=False)
class KnownLogprobs:
    """Log-probs before the update, float32 [seq] a rollout; None where nobody needs them."""

    old: Sequence[np.ndarray] | None
    """Of the learner before the update."""
    reference: Sequence[np.ndarray] | None
    """Of the frozen reference model."""


def make_policy_samples(
    scored: Sequence[ScoredRollout], known: KnownLogprobs, settings: RLSettings
) -> list[PolicySample]:
    """Joins advantages and known log-probs to each rollout.

    A rollout without a score gets an action mask of False everywhere, so it adds nothing to the
    loss or to any mean.
    """
    masks = [trained_tokens(each) for each in scored]
    advantages = compute_advantages(
        np.array([np.nan if each.score is None else each.score for each in scored]),
        np.array([each.rollout.group_id for each in scored], dtype=np.int64),
        masks,
        reward_kl(known, settings.kl),
        estimator=settings.advantage.estimator,
        gamma=settings.advantage.gamma,
        normalization=settings.advantage.normalization,
        kl_coefficient=settings.kl.coefficient,
    )
    in_loss = known.reference if settings.kl.placement == "Loss" else None
    return [
        PolicySample(
            token_ids=each.rollout.token_ids,
            action_mask=masks[i],
            advantages=advantages[i],
            rollout_logprobs=each.rollout.logprobs,
            old_logprobs=None if known.old is None else known.old[i],
            ref_logprobs=None if in_loss is None else in_loss[i],
        )
        for i, each in enumerate(scored)
    ]


def trained_tokens(scored: ScoredRollout) -> np.ndarray:
    """Returns the rollout's action mask, bool [seq]; all False where the score is missing."""
    mask = scored.rollout.action_mask
    return mask if scored.score is not None else np.zeros_like(mask)


def reward_kl(known: KnownLogprobs, kl: KLSettings) -> list[np.ndarray] | None:
    """Returns the KL estimate of each token; None when the reward has no KL term."""
    if kl.placement == "Loss" or known.old is None or known.reference is None:
        return None
    pairs = zip(known.old, known.reference, strict=True)
    return [
        kl_per_token(torch.from_numpy(old), torch.from_numpy(ref), kl.estimator).numpy()
        for old, ref in pairs
    ]


def describe(
    scored: Sequence[ScoredRollout],
    samples: Sequence[PolicySample],
    known: KnownLogprobs,
    kl: KLSettings,
) -> dict[str, float]:
    """Returns the metrics of a step's rollouts; a mean over nothing is left out.

    `samples` are those of `make_policy_samples`, in the order of `scored`.
    """
    lengths = np.array([int(each.rollout.action_mask.sum()) for each in scored])
    scores = np.array([each.score for each in scored if each.score is not None])
    metrics = {
        "reward/failed_ratio": 1.0 - len(scores) / len(scored),
        "response/length_mean": float(lengths.mean()),
        "response/length_max": float(lengths.max()),
        "response/truncated_ratio": float(np.mean([e.rollout.is_truncated for e in scored])),
        "rollout/num_samples": float(len(scored)),
        "rollout/num_tokens": float(lengths.sum()),
    }
    if len(scores):
        metrics |= {"reward/mean": float(scores.mean()), "reward/std": float(scores.std())}
        metrics |= function_means(scored) | {"reward/uniform_group_ratio": uniform_ratio(scored)}
        trained = np.concatenate([sample.advantages[sample.action_mask] for sample in samples])
        metrics |= {"advantage/mean": float(trained.mean()), "advantage/std": float(trained.std())}
    in_reward = reward_kl(known, kl)
    if in_reward is not None:
        metrics |= mean_over_actions("kl/mean", samples, in_reward)
    if known.old is not None:
        pairs = zip(samples, known.old, strict=True)
        gaps = [np.abs(old - sample.rollout_logprobs) for sample, old in pairs]
        metrics |= mean_over_actions("rollout/logprob_gap", samples, gaps)
    return metrics


def policy_lag(rollouts: Sequence[Rollout], policy_version: int) -> float:
    """Returns by how many versions the tokens' policy is behind `policy_version`, on average."""
    versions = np.concatenate([each.versions[each.action_mask] for each in rollouts])
    return policy_version - float(versions.mean())


def function_means(scored: Sequence[ScoredRollout]) -> dict[str, float]:
    """Returns the mean raw score of each reward function, where there are several."""
    by_name: dict[str, list[float]] = {}
    for each in scored:
        for name, value in each.parts.items():
            by_name.setdefault(name, []).append(value)
    if len(by_name) < 2:
        return {}
    return {f"reward_function/{name}": sum(v) / len(v) for name, v in by_name.items()}


def uniform_ratio(scored: Sequence[ScoredRollout]) -> float:
    """Returns the share of groups whose scores are all equal; a group baseline gives them 0."""
    groups: dict[int, set[float]] = {}
    for each in scored:
        if each.score is not None:
            groups.setdefault(each.rollout.group_id, set()).add(each.score)
    return sum(len(found) == 1 for found in groups.values()) / len(groups)


def mean_over_actions(
    name: str, samples: Sequence[PolicySample], values: Sequence[np.ndarray]
) -> dict[str, float]:
    """Returns the mean of `values` over the trained tokens; nothing where there is none."""
    masked = [value[sample.action_mask] for sample, value in zip(samples, values, strict=True)]
    flat = np.concatenate(masked)
    return {name: float(flat.mean())} if flat.size else {}
