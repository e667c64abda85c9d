"""Whether a plan fits its devices: peak bytes of each phase in each worker group, and the smallest
change of the manifest that makes it fit."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from openrlhf_core.spec.kinds.quantity import format_bytes
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.memory import (
    BYTES,
    EngineBytes,
    LearnerBytes,
    LearnerLoad,
    ModelShape,
    engine_bytes,
    learner_bytes,
)
from openrlhf_core.spec.planning.plan import Plan, PlannedGroup, make_plan
from openrlhf_core.spec.planning.presets import LearnerSettings, resolve_learner, resolve_rl
from openrlhf_core.spec.reading.validate import judge

MAX_CHANGES = 3
FULL = 0.95
"""Share of a device's memory that may be planned: CUDA itself and fragments take the rest."""


@dataclass(frozen=True)
class GroupMemory:
    """Bytes on each device of a worker group. None where the role does not live there."""

    group: str
    learner: LearnerBytes | None
    reference: int | None
    engine: EngineBytes | None
    phases: dict[str, int]
    """Peak of rollout, train and weight_sync."""

    @property
    def peak(self) -> int:
        return max(self.phases.values())


@dataclass(frozen=True)
class Fit:
    """Whether every group fits, and by what it does not."""

    groups: tuple[GroupMemory, ...]
    device_bytes: int | None
    """None: unknown, so nothing is said to be too large."""

    @property
    def problems(self) -> list[str]:
        if self.device_bytes is None:
            return []
        return [text for group in self.groups for text in _complaints(group, self.device_bytes)]


@dataclass(frozen=True)
class Change:
    """One field of `training` and the value that saves memory."""

    field: str
    value: Any


def estimate(training: TrainingSpec, shape: ModelShape, device_bytes: int | None) -> Fit:
    """Bytes on each device of each worker group, phase by phase."""
    plan = make_plan(training)
    return Fit(tuple(_groups(training, plan, shape, device_bytes)), device_bytes)


def smallest_change(
    training: TrainingSpec, shape: ModelShape, device_bytes: int
) -> tuple[Change, ...] | None:
    """The fewest and gentlest changes that make a plan fit; None when none of ours does."""
    candidates = tuple(_candidates(training))
    for count in range(1, MAX_CHANGES + 1):
        for changes in combinations(candidates, count):
            if len({change.field for change in changes}) < count:
                continue
            changed = _changed(training, changes)
            if changed and not estimate(changed, shape, device_bytes).problems:
                return changes
    return None


def _groups(
    training: TrainingSpec, plan: Plan, shape: ModelShape, device_bytes: int | None
) -> Iterator[GroupMemory]:
    settings = resolve_learner(training.learner, training.rollout, resolve_rl(training.rl))
    for group in plan.groups:
        learner = None
        if "Policy" in group.roles:
            learner = learner_bytes(shape, _load(training, settings, group))
        reference = None
        if "Reference" in group.roles:
            ranks = group.num_devices if _weights_are_split(training) else 1
            reference = shape.num_parameters * BYTES[settings.dtype] // ranks
        engine = None
        if "Rollout" in group.roles:
            engine = _engine(training, settings, shape, device_bytes)
        bucket = min(training.weight_sync.bucket_bytes, 4 * shape.num_parameters)
        phases = _phases(group, learner, reference, engine, bucket)
        yield GroupMemory(group.name, learner, reference, engine, phases)


def _weights_are_split(training: TrainingSpec) -> bool:
    """Whether weights are split over the ranks (ZeRO stage 3)."""
    return training.learner.zero_stage == 3


def _load(training: TrainingSpec, settings: LearnerSettings, group: PlannedGroup) -> LearnerLoad:
    longest = longest_sequence(training)
    by_count = (settings.micro_batch_size or 1) * longest
    tokens = max(settings.max_tokens_per_micro_batch or by_count, longest)
    rl = resolve_rl(training.rl)
    return LearnerLoad(
        num_ranks=group.num_devices,
        zero_stage=training.learner.zero_stage,
        dtype=settings.dtype,
        micro_batch_tokens=min(tokens, rl.num_samples * longest),
        has_checkpointing=training.learner.gradient_checkpointing,
    )


def longest_sequence(training: TrainingSpec) -> int:
    """Tokens of the longest prompt and its longest completion."""
    return training.data.prompt_max_length + training.rollout.sampling.max_tokens


def _engine(
    training: TrainingSpec, settings: LearnerSettings, shape: ModelShape, device_bytes: int | None
) -> EngineBytes:
    size, longest = training.rollout.tensor_parallel_size, longest_sequence(training)
    bare = engine_bytes(shape, settings.rollout_dtype, size, longest, kv_budget=None)
    if device_bytes is None:
        return bare
    budget = int(device_bytes * training.rollout.memory_fraction) - bare.parameters
    return engine_bytes(shape, settings.rollout_dtype, size, longest, kv_budget=budget)


def _phases(
    group: PlannedGroup,
    learner: LearnerBytes | None,
    reference: int | None,
    engine: EngineBytes | None,
    bucket_bytes: int,
) -> dict[str, int]:
    """Peak of each phase: who sleeps holds nothing, else everybody holds what he has."""
    learner_rests = 0 if group.takes_turns or learner is None else learner.states
    engine_rests = 0 if group.takes_turns or engine is None else engine.peak
    frozen = reference or 0
    frozen_rests = 0 if group.takes_turns else frozen
    return {
        "rollout": (engine.peak if engine else 0) + learner_rests + frozen_rests,
        "train": (learner.peak if learner else 0) + frozen + engine_rests,
        "weight_sync": (learner.parameters if learner else 0)
        + (engine.parameters if engine else 0)
        + 2 * bucket_bytes,
    }


def _complaints(group: GroupMemory, device_bytes: int) -> Iterator[str]:
    engine = group.engine
    if engine and engine.kv_cache < engine.kv_cache_wanted:
        yield (
            f"group {group.group}: the engine has {format_bytes(engine.kv_cache)} for its KV "
            f"cache, one longest sequence needs {format_bytes(engine.kv_cache_wanted)}"
        )
    for phase, peak in group.phases.items():
        if peak > FULL * device_bytes:
            yield (
                f"group {group.group}: {phase} needs {format_bytes(peak)} of a device's "
                f"{format_bytes(device_bytes)} (of which {FULL:.0%} may be planned)"
            )


def _candidates(training: TrainingSpec) -> Iterator[Change]:
    """Changes that save memory, the ones that cost least first."""
    learner, rollout = training.learner, training.rollout
    if not learner.gradient_checkpointing:
        yield Change("learner.gradientCheckpointing", True)
    if learner.micro_batch_size is None:
        tokens = learner.max_tokens_per_micro_batch or 16384
        while tokens > longest_sequence(training):
            tokens = max(tokens // 2, longest_sequence(training))
            yield Change("learner.maxTokensPerMicroBatch", tokens)
    elif learner.micro_batch_size > 1:
        yield Change("learner.microBatchSize", 1)
    for stage in range(learner.zero_stage + 1, 4):
        yield Change("learner.zeroStage", stage)
    for fraction in (0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2):
        yield Change("rollout.memoryFraction", fraction)
    for factor in (2, 4, 8):
        yield Change("rollout.tensorParallelSize", rollout.tensor_parallel_size * factor)
    if training.placement.sleep == "Never":
        yield Change("placement.sleep", "Auto")
    yield from _larger_groups(training)


def _larger_groups(training: TrainingSpec) -> Iterator[Change]:
    for factor in (2, 4, 8, 16):
        groups = [group.to_manifest() for group in training.placement.groups]
        for group in groups:
            if "Policy" in group["roles"]:
                group["nodes"] = group["nodes"] * factor
        yield Change("placement.groups", groups)


def _changed(training: TrainingSpec, changes: tuple[Change, ...]) -> TrainingSpec | None:
    data = training.to_manifest()
    for change in changes:
        *parents, last = change.field.split(".")
        holder: Any = data
        for name in parents:
            holder = holder[name]
        holder[last] = change.value
    model, problems = judge(TrainingSpec, data)
    return None if problems else model
