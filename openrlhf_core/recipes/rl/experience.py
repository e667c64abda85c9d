"""Scored completions become samples to learn from, and the numbers that describe them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from openrlhf_core.algorithms.advantages import compute_advantages
from openrlhf_core.algorithms.kl import kl_per_token
from openrlhf_core.samples import ScoredRollout, TrainSample
from openrlhf_core.spec.planning.presets import KLSettings, RLSettings


@dataclass(frozen=True, eq=False)
class KnownLogprobs:
    """What forward passes before the update found, one array a completion; None: not needed."""

    old: Sequence[np.ndarray] | None
    """Of the learner's weights, float32 [seq]."""
    reference: Sequence[np.ndarray] | None


def make_train_samples(
    scored: Sequence[ScoredRollout], known: KnownLogprobs, settings: RLSettings
) -> list[TrainSample]:
    """Joins advantages and known log-probs to each completion.

    A completion without a score gets an empty action mask: it is trained on by nobody and enters
    no mean.
    """
    masks = [action_mask(each) for each in scored]
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
        TrainSample(
            token_ids=each.rollout.token_ids,
            action_mask=masks[i],
            advantages=advantages[i],
            rollout_logprobs=over_sequence(each),
            old_logprobs=None if known.old is None else known.old[i],
            ref_logprobs=None if in_loss is None else in_loss[i],
        )
        for i, each in enumerate(scored)
    ]


def action_mask(scored: ScoredRollout) -> np.ndarray:
    """Returns bool [seq]: the completion's tokens of a scored sample, nothing of a failed one."""
    rollout = scored.rollout
    prompt = np.zeros(len(rollout.prompt.token_ids), dtype=bool)
    return np.concatenate([prompt, np.full(len(rollout.completion_ids), scored.score is not None)])


def over_sequence(scored: ScoredRollout) -> np.ndarray:
    """Returns the engine's log-probs, float32 [seq], 0 at the prompt."""
    rollout = scored.rollout
    prompt = np.zeros(len(rollout.prompt.token_ids), dtype=np.float32)
    return np.concatenate([prompt, rollout.rollout_logprobs])


def reward_kl(known: KnownLogprobs, kl: KLSettings) -> list[np.ndarray] | None:
    """Returns the KL estimate of each token for the reward; None when it has no place there."""
    if kl.placement == "Loss" or known.old is None or known.reference is None:
        return None
    pairs = zip(known.old, known.reference, strict=True)
    return [
        kl_per_token(torch.from_numpy(old), torch.from_numpy(ref), kl.estimator).numpy()
        for old, ref in pairs
    ]


def describe(
    scored: Sequence[ScoredRollout],
    samples: Sequence[TrainSample],
    known: KnownLogprobs,
    kl: KLSettings,
) -> dict[str, float]:
    """Returns the metrics of a step's completions; one without samples is left out.

    `samples` are those of `make_train_samples`, in the order of `scored`.
    """
    lengths = np.array([len(each.rollout.completion_ids) for each in scored])
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
        metrics |= mean_over_actions("kl/mean", scored, in_reward)
    if known.old is not None:
        gaps = [np.abs(o - over_sequence(e)) for e, o in zip(scored, known.old, strict=True)]
        metrics |= mean_over_actions("rollout/logprob_gap", scored, gaps)
    return metrics


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
    """Returns the share of groups whose scores are all equal: a group baseline learns nothing."""
    groups: dict[int, set[float]] = {}
    for each in scored:
        if each.score is not None:
            groups.setdefault(each.rollout.group_id, set()).add(each.score)
    return sum(len(found) == 1 for found in groups.values()) / len(groups)


def mean_over_actions(
    name: str, scored: Sequence[ScoredRollout], values: Sequence[np.ndarray]
) -> dict[str, float]:
    masked = [value[action_mask(each)] for each, value in zip(scored, values, strict=True)]
    flat = np.concatenate(masked)
    return {name: float(flat.mean())} if flat.size else {}
