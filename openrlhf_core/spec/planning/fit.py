"""Whether a plan fits its devices: peak bytes of each phase in each worker group, and the smallest
change of the manifest that makes it fit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from openrlhf_core.spec.kinds.placement import Role
from openrlhf_core.spec.kinds.quantity import format_bytes
from openrlhf_core.spec.kinds.recipes import RoleKind
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.planning.memory import (
    EngineBytes,
    LearnerBytes,
    LearnerLoad,
    ModelShape,
    RoleBytes,
    engine_bytes,
    frozen_bytes,
    learner_bytes,
)
from openrlhf_core.spec.planning.plan import PlannedGroup
from openrlhf_core.spec.planning.presets import (
    DEFAULT_MAX_TOKENS_PER_MICRO_BATCH,
    LearnerSettings,
    RolloutSettings,
)
from openrlhf_core.spec.planning.resolve import ResolvedTraining, resolve
from openrlhf_core.spec.planning.roles import NeededRole
from openrlhf_core.spec.reading.validate import judge

MAX_CHANGES = 3
FULL = 0.95
"""Share of a device's memory that a plan may use; CUDA and fragmentation take the rest."""
Phase = Literal["rollout", "logprob", "train", "weight_sync"]
WORK: dict[RoleKind, Phase] = {"Engine": "rollout", "Frozen": "logprob", "Trained": "train"}
"""The phase in which roles of a kind work."""


@dataclass(frozen=True)
class GroupMemory:
    """Bytes on each device of a worker group."""

    group: str
    roles: Mapping[Role, RoleBytes]
    """What each role that lives there holds."""
    phases: Mapping[Phase, int]
    """Peak of each phase in which one of the roles works."""

    @property
    def peak(self) -> int:
        return max(self.phases.values())


@dataclass(frozen=True)
class Fit:
    """The memory of every group, and which of it does not fit."""

    groups: tuple[GroupMemory, ...]
    device_bytes: int | None
    """Memory of a device; None: unknown, so that every plan fits."""

    @property
    def problems(self) -> list[str]:
        if self.device_bytes is None:
            return []
        return [text for group in self.groups for text in _complaints(group, self.device_bytes)]


@dataclass(frozen=True)
class Change:
    """A field of `training` and the value that saves memory."""

    field: str
    value: Any


def estimate(resolved: ResolvedTraining, shape: ModelShape, device_bytes: int | None) -> Fit:
    """Bytes on each device of each worker group, phase by phase."""
    groups = resolved.plan.groups
    return Fit(
        tuple(_group_memory(resolved, group, shape, device_bytes) for group in groups),
        device_bytes,
    )


def smallest_change(
    resolved: ResolvedTraining, shape: ModelShape, device_bytes: int
) -> tuple[Change, ...] | None:
    """The fewest changes that make a plan fit, cheapest first; None if no combination does."""
    candidates = tuple(_candidates(resolved))
    for count in range(1, MAX_CHANGES + 1):
        for changes in combinations(candidates, count):
            if len({change.field for change in changes}) < count:
                continue
            changed = _changed(resolved.spec, changes)
            if changed and not estimate(resolve(changed), shape, device_bytes).problems:
                return changes
    return None


def _group_memory(
    resolved: ResolvedTraining, group: PlannedGroup, shape: ModelShape, device_bytes: int | None
) -> GroupMemory:
    here = [needed for needed in resolved.roles if needed.role in group.roles]
    roles = {needed.role: _role_bytes(resolved, needed, shape, device_bytes) for needed in here}
    kinds = {needed.role: needed.kind for needed in here}
    sync = resolved.spec.weight_sync
    bucket = None if sync is None else min(sync.bucket_bytes, 4 * shape.num_parameters)
    return GroupMemory(group.name, roles, dict(_phases(group, roles, kinds, bucket)))


def _role_bytes(
    resolved: ResolvedTraining, needed: NeededRole, shape: ModelShape, device_bytes: int | None
) -> RoleBytes:
    if needed.kind == "Trained":
        return learner_bytes(shape, _load(resolved, needed.role))
    if needed.kind == "Frozen":
        return frozen_bytes(shape, resolved.spec.learner.dtype)
    assert resolved.rollout is not None
    longest = longest_sequence(resolved)
    return _engine(resolved.rollout, shape, longest, device_bytes)


def _load(resolved: ResolvedTraining, role: Role) -> LearnerLoad:
    settings: LearnerSettings = resolved.learners[role]
    longest = longest_sequence(resolved)
    by_count = (settings.micro_batch_size or 1) * longest
    tokens = max(settings.max_tokens_per_micro_batch or by_count, longest)
    samples = settings.train_batch_size if resolved.rl is None else resolved.rl.num_samples
    return LearnerLoad(
        num_ranks=len(resolved.plan.ranks[role]),
        zero_stage=settings.zero_stage,
        dtype=settings.dtype,
        micro_batch_tokens=min(tokens, samples * longest),
        has_checkpointing=settings.gradient_checkpointing,
    )


def longest_sequence(resolved: ResolvedTraining) -> int:
    """Tokens of the longest prompt and its longest completion."""
    completion = resolved.rollout.sampling.max_tokens if resolved.rollout else 0
    return resolved.spec.data.prompt_max_length + completion


def _engine(
    rollout: RolloutSettings, shape: ModelShape, longest: int, device_bytes: int | None
) -> EngineBytes:
    size = rollout.tensor_parallel_size
    bare = engine_bytes(shape, rollout.dtype, size, longest, kv_budget=None)
    if device_bytes is None:
        return bare
    budget = int(device_bytes * rollout.memory_fraction) - bare.parameters
    return engine_bytes(shape, rollout.dtype, size, longest, kv_budget=budget)


def _phases(
    group: PlannedGroup,
    roles: Mapping[Role, RoleBytes],
    kinds: Mapping[Role, RoleKind],
    bucket_bytes: int | None,
) -> Iterator[tuple[Phase, int]]:
    """Peak of each phase. A sleeping role uses no device memory; the others keep theirs.

    `bucket_bytes` is None for a recipe that syncs no weights.
    """
    at_rest = {role: 0 if group.takes_turns else held.at_rest for role, held in roles.items()}
    for kind, phase in WORK.items():
        peaks = [
            held.peak if kinds[role] == kind else at_rest[role] for role, held in roles.items()
        ]
        if kind in kinds.values():
            yield phase, sum(peaks)
    if bucket_bytes is not None and {"Trained", "Engine"} & set(kinds.values()):
        yield (
            "weight_sync",
            2 * bucket_bytes
            + sum(max(at_rest[role], _held_in_sync(held)) for role, held in roles.items()),
        )


def _held_in_sync(held: RoleBytes) -> int:
    """A weight sync needs all states of a learner, and an engine's weights without KV cache."""
    if isinstance(held, LearnerBytes):
        return held.at_rest
    return held.parameters if isinstance(held, EngineBytes) else 0


def _complaints(group: GroupMemory, device_bytes: int) -> Iterator[str]:
    for held in group.roles.values():
        if isinstance(held, EngineBytes) and held.kv_cache < held.kv_cache_wanted:
            yield (
                f"group {group.group}: the engine has {format_bytes(held.kv_cache)} for its KV "
                f"cache, one longest sequence needs {format_bytes(held.kv_cache_wanted)}"
            )
    for phase, peak in group.phases.items():
        if peak > FULL * device_bytes:
            yield (
                f"group {group.group}: {phase} needs {format_bytes(peak)} of a device's "
                f"{format_bytes(device_bytes)} (of which {FULL:.0%} may be planned)"
            )


def _candidates(resolved: ResolvedTraining) -> Iterator[Change]:
    """Changes that save memory; those that slow training least come first."""
    learner, longest = resolved.spec.learner, longest_sequence(resolved)
    if not learner.gradient_checkpointing:
        yield Change("learner.gradientCheckpointing", True)
    if learner.micro_batch_size is None:
        tokens = learner.max_tokens_per_micro_batch or DEFAULT_MAX_TOKENS_PER_MICRO_BATCH
        while tokens > longest:
            tokens = max(tokens // 2, longest)
            yield Change("learner.maxTokensPerMicroBatch", tokens)
    elif learner.micro_batch_size > 1:
        yield Change("learner.microBatchSize", 1)
    for stage in range(learner.zero_stage + 1, 4):
        yield Change("learner.zeroStage", stage)
    if resolved.rollout is not None:
        yield from _smaller_engines(resolved.rollout)
    if resolved.spec.placement.sleep == "Never":
        yield Change("placement.sleep", "Auto")
    yield from _larger_groups(resolved.spec)


def _smaller_engines(rollout: RolloutSettings) -> Iterator[Change]:
    for fraction in (0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2):
        yield Change("rollout.memoryFraction", fraction)
    for factor in (2, 4, 8):
        yield Change("rollout.tensorParallelSize", rollout.tensor_parallel_size * factor)


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
