"""Reinforcement learning from scores: one step is the ten lines of `train_step`.

Synchronous: every completion is made by the policy that then learns from it. GRPO
(arXiv:2402.03300) and its kin differ only in the settings that `make_policy_samples` and the
objective are given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from openrlhf_core.algorithms.aggregate import LossAggregation
from openrlhf_core.data.balance import BatchLimits, plan_updates
from openrlhf_core.data.prompts import PromptStream
from openrlhf_core.objectives.metrics import merge_updates
from openrlhf_core.objectives.policy import PolicySample
from openrlhf_core.orchestration.learners import LearnerGroup
from openrlhf_core.orchestration.rollouts import RolloutGroup
from openrlhf_core.orchestration.scoring import ScorerGroup
from openrlhf_core.orchestration.turns import Turns
from openrlhf_core.orchestration.weight_sync import WeightSync
from openrlhf_core.recipes.rl.experience import (
    KnownLogprobs,
    describe,
    make_policy_samples,
    policy_lag,
)
from openrlhf_core.recipes.rl.guard import ScoreGuard, check_logprob_gap
from openrlhf_core.recipes.rl.requests import make_requests, make_rollouts
from openrlhf_core.recipes.run.journal import Journal, Row, TrainingState
from openrlhf_core.rewards.rewards import Rewards
from openrlhf_core.samples import OptimizerBatch, Prompt, Rollout
from openrlhf_core.spec.kinds.formats import DType
from openrlhf_core.spec.planning.presets import RLSettings


@dataclass(frozen=True)
class StepSettings:
    """The numbers that a step needs."""

    rl: RLSettings
    total_steps: int
    seed: int
    max_tokens: int
    """Longest completion, in tokens."""
    train_batch_size: int
    """Completions of an optimizer step, over all ranks."""
    num_data_shards: int
    """Parts that an optimizer step is split into: ranks with different samples."""
    limits: BatchLimits
    gap_dtype: DType | None
    """Number format whose bound the log-prob gap is held to; None: sampling changes log-probs."""

    @property
    def needs_old_logprobs(self) -> bool:
        """Whether a forward pass comes before the update.

        One optimizer step a rollout needs none: its own log-probs are the old ones.
        """
        one_update = self.train_batch_size >= self.rl.num_samples
        kl_in_reward = self.rl.kl.needs_reference and self.rl.kl.placement == "Reward"
        return kl_in_reward or not one_update or self.rl.epochs_per_rollout > 1


@dataclass(frozen=True)
class RLWorkers:
    """Who does the work of a step."""

    stream: PromptStream
    rollouts: RolloutGroup
    rewards: Rewards
    policy: LearnerGroup
    reference: ScorerGroup | None
    """None: no KL divergence is measured."""
    weight_sync: WeightSync
    turns: Turns
    queries: Callable[[Sequence[Rollout]], list[str]]
    """Prompt and completion of each rollout as text."""
    check_stop: Callable[[], None]
    """Raises StopRequested when the run is to stop."""


def train_step(
    settings: StepSettings, workers: RLWorkers, journal: Journal, guard: ScoreGuard
) -> TrainingState:
    """Does one step: a rollout through its weight sync."""
    row, state = journal.begin(), journal.state
    prompts = workers.stream.batch(state.data_cursor, settings.rl.rollout_batch_size)
    with journal.phase(row, "rollout"):
        rollouts = generate(settings, workers, prompts)
    with journal.phase(row, "reward"):
        scored = workers.rewards.score(rollouts, workers.queries(rollouts), workers.check_stop)
    guard.observe(scored.num_scored, scored.error)
    with journal.phase(row, "logprob"):
        known = known_logprobs(settings, workers, rollouts)
    samples = make_policy_samples(scored.rollouts, known, settings.rl)
    updates = plan_step_updates(settings, samples, row.step)
    with journal.phase(row, "train"), journal.weights_change():
        learned = learn(workers, updates)
    next_state = TrainingState(row.step, state.data_cursor + len(prompts), state.policy_version + 1)
    with journal.phase(row, "weight_sync"):
        sync_weights(workers, next_state.policy_version)
    row.metrics |= learned | describe(scored.rollouts, samples, known, settings.rl.kl)
    row.metrics["rollout/policy_lag"] = policy_lag(rollouts, state.policy_version)
    add_rollout_speed(row, workers.stream, next_state)
    check_gap(settings, row, state.policy_version)
    return journal.finish(row, next_state)


def generate(
    settings: StepSettings, workers: RLWorkers, prompts: Sequence[Prompt]
) -> list[Rollout]:
    """Completes each prompt `group_size` times with the current policy."""
    workers.turns.begin("Rollout")
    requests = make_requests(prompts, settings.rl.group_size, settings.seed, settings.max_tokens)
    workers.rollouts.submit(requests)
    return make_rollouts(prompts, workers.rollouts.take(len(requests)))


def known_logprobs(
    settings: StepSettings, workers: RLWorkers, rollouts: Sequence[Rollout]
) -> KnownLogprobs:
    """Runs the forward passes that must come before the update; most runs need none."""
    sequences = [rollout.token_ids for rollout in rollouts]
    reference = None
    if workers.reference is not None:
        workers.turns.begin("Reference")
        reference = workers.reference.score(sequences)
    old = None
    if settings.needs_old_logprobs:
        workers.turns.begin("Policy")
        old = workers.policy.score(sequences)
    return KnownLogprobs(old, reference)


def plan_step_updates(
    settings: StepSettings, samples: Sequence[PolicySample], step: int
) -> list[list[OptimizerBatch[PolicySample]]]:
    """Returns the step's optimizer steps: [optimizer step][rank]."""
    return plan_updates(
        samples,
        train_batch_size=settings.train_batch_size,
        num_ranks=settings.num_data_shards,
        epochs=settings.rl.epochs_per_rollout,
        key=(settings.seed, step),
        limits=settings.limits,
        aggregation=LossAggregation(settings.rl.policy_loss.aggregation, settings.max_tokens),
    )


def learn(
    workers: RLWorkers, updates: Sequence[Sequence[OptimizerBatch[PolicySample]]]
) -> dict[str, float]:
    """Does the optimizer steps; returns their metrics, merged as the catalogue says.

    A stop abandons the first, which leaves the weights of the step before; the others it lets end.
    """
    workers.turns.begin("Policy")
    return merge_updates(
        [
            workers.policy.update(batches, may_abandon=index == 0)
            for index, batches in enumerate(updates)
        ]
    )


def sync_weights(workers: RLWorkers, policy_version: int) -> None:
    """Brings the learner's weights to the engines as `policy_version`."""
    workers.turns.begin("Policy", "Rollout")
    workers.weight_sync.run(policy_version)


def add_rollout_speed(row: Row, stream: PromptStream, state: TrainingState) -> None:
    """Adds what the step's own numbers say about speed and data."""
    tokens, seconds = row.metrics["rollout/num_tokens"], row.metrics["time/rollout"]
    row.metrics["rollout/tokens_per_second"] = tokens / max(seconds, 1e-9)
    row.metrics["data/epoch"] = state.data_cursor / stream.epoch_size


def check_gap(settings: StepSettings, row: Row, policy_version: int) -> None:
    """Ends the run when the engine's log-probs say that it holds other weights."""
    gap = row.metrics.get("rollout/logprob_gap")
    if settings.gap_dtype is not None and gap is not None:
        check_logprob_gap(gap, settings.gap_dtype, policy_version)
