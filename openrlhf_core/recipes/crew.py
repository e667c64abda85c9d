"""The processes of every role of a plan, the same for any recipe: started, loaded, saved, left.

On CPU all roles load at the same time. On CUDA roles that share devices load one after the other,
each asleep before the next, as they will work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openrlhf_core.checkpoint import MODEL_DIRECTORY, Checkpoint, role_directory
from openrlhf_core.checkpoint_manifest import FileEntry
from openrlhf_core.data.balance import BatchLimits
from openrlhf_core.engines.learner_environment import learner_environment
from openrlhf_core.engines.learner_settings import Hardware
from openrlhf_core.engines.vllm.environment import engine_environment
from openrlhf_core.orchestration.actor_group import Launcher
from openrlhf_core.orchestration.collect import Call, Collect
from openrlhf_core.orchestration.learners import LearnerGroup, LearnerSetup, start_learner_group
from openrlhf_core.orchestration.placement import reserve
from openrlhf_core.orchestration.rollouts import RolloutGroup, RolloutSetup, start_rollout_group
from openrlhf_core.orchestration.scoring import ScorerGroup, ScorerSetup, start_scorer_group
from openrlhf_core.orchestration.turns import Sleeper, Turns
from openrlhf_core.spec.kinds.placement import Role
from openrlhf_core.spec.planning.plan import Plan
from openrlhf_core.spec.planning.resolve import ResolvedTraining
from openrlhf_core.spec.run_config import RunConfig


@dataclass(frozen=True)
class Crew:
    """The processes of every role, by role."""

    learners: Mapping[Role, LearnerGroup]
    scorers: Mapping[Role, ScorerGroup]
    rollouts: RolloutGroup | None
    """None for a recipe that generates nothing."""
    turns: Turns
    collect: Collect
    loads_in_turn: bool
    """Whether one role loads after the other."""


@dataclass(frozen=True)
class Setups:
    """What each process is made with."""

    learners: Mapping[Role, LearnerSetup]
    scorers: Mapping[Role, ScorerSetup]
    engines: Sequence[RolloutSetup] = ()


def start_crew(config: RunConfig, resolved: ResolvedTraining, collect: Collect) -> Crew:
    """Reserves the plan's devices and starts a process for each rank and engine."""
    plan, device = resolved.plan, config.device
    reservation = reserve(plan.groups, device, collect)
    environment = learner_environment(Hardware(device.kind, config.threads_per_process))
    launcher = Launcher(reservation, environment, collect)
    limits = batch_limits(resolved)
    learners: dict[Role, LearnerGroup] = {}
    scorers: dict[Role, ScorerGroup] = {}
    for needed in resolved.roles:
        role = needed.role
        if needed.kind == "Trained":
            learners[role] = start_learner_group(launcher, role, plan.ranks[role], limits)
        elif needed.kind == "Frozen":
            scorers[role] = start_scorer_group(launcher, role, plan.ranks[role], limits)
    rollouts = None
    if plan.engines:
        assert resolved.rl is not None, "a recipe that generates has settings of RL"
        engines_see = engine_environment(device.kind, config.threads_per_process, config.cache)
        engine_launcher = Launcher(reservation, engines_see, collect)
        rollouts = start_rollout_group(engine_launcher, plan.engines, resolved.rl.num_samples)
    on_cuda = device.kind == "CUDA"
    turns = make_turns(plan, {**learners, **scorers}, rollouts) if on_cuda else Turns({})
    return Crew(learners, scorers, rollouts, turns, collect, loads_in_turn=on_cuda)


def make_turns(plan: Plan, groups: Mapping[Role, Sleeper], rollouts: RolloutGroup | None) -> Turns:
    """Returns the turns of the roles that live in a group whose roles take turns."""
    everybody = dict(groups) if rollouts is None else {**groups, "Rollout": rollouts}
    sharing = {role for group in plan.groups if group.takes_turns for role in group.roles}
    return Turns({role: group for role, group in everybody.items() if role in sharing})


def batch_limits(resolved: ResolvedTraining) -> BatchLimits:
    """Returns how large a micro-batch of any role may be: the policy's limits hold for all."""
    learner = resolved.learners["Policy"]
    return BatchLimits(
        micro_batch_size=learner.micro_batch_size,
        max_tokens=learner.max_tokens_per_micro_batch,
        packing=resolved.spec.data.packing,
    )


def load_crew(
    crew: Crew,
    setups: Setups,
    found: Checkpoint | None,
    on_learners: Callable[[], None],
) -> None:
    """Loads every model; trained roles continue from `found`.

    `on_learners` is called when all trained roles are ready, before the engines are waited for.
    Learners are waited for even after a request to stop, so that there is something to commit.
    """
    load = _load_in_turn if crew.loads_in_turn else _load_at_once
    load(crew, setups, found, on_learners)


def _load_at_once(
    crew: Crew,
    setups: Setups,
    found: Checkpoint | None,
    on_learners: Callable[[], None],
) -> None:
    engines = _engine_calls(crew, setups)
    scorers = [call for role in crew.scorers for call in _scorer_calls(crew, setups, role)]
    learners = [call for role in crew.learners for call in _learner_calls(crew, setups, role)]
    crew.collect([*learners, *scorers], finish=True)
    for role in crew.learners:
        _resume(crew, role, found)
    on_learners()
    crew.collect(engines)


def _load_in_turn(
    crew: Crew,
    setups: Setups,
    found: Checkpoint | None,
    on_learners: Callable[[], None],
) -> None:
    for role in crew.learners:
        crew.turns.begin()
        crew.collect(_learner_calls(crew, setups, role), finish=True)
        crew.turns.built(role)
        _resume(crew, role, found)
    on_learners()
    for role in crew.scorers:
        crew.turns.begin()
        crew.collect(_scorer_calls(crew, setups, role))
        crew.turns.built(role)
    crew.turns.begin()
    crew.collect(_engine_calls(crew, setups))
    crew.turns.built("Rollout")


def _resume(crew: Crew, role: Role, found: Checkpoint | None) -> None:
    if found is not None:
        crew.learners[role].load(role_directory(found.directory, role))


def save_crew(crew: Crew, directory: Path) -> list[FileEntry]:
    """Writes `roles/<role>` of each trained role, and the policy as `model`, into a checkpoint.

    Returns the files with their hashes, fsynced.
    """
    entries: list[FileEntry] = []
    for role, learners in crew.learners.items():
        entries += learners.save(directory, role_directory(directory, role))
    return entries + crew.learners["Policy"].export(directory, directory / MODEL_DIRECTORY)


def leave_work(crew: Crew) -> None:
    """Ends engines and frozen models, busy or not, and abandons the optimizer step.

    The learners are awake afterwards; only `save_crew` may follow.
    """
    if crew.rollouts is not None:
        crew.rollouts.kill()
        crew.turns.ended("Rollout")
    for role, scorers in crew.scorers.items():
        scorers.kill()
        crew.turns.ended(role)
    for learners in crew.learners.values():
        learners.abandon()
    crew.turns.begin(*crew.learners)


def _learner_calls(crew: Crew, setups: Setups, role: Role) -> list[Call]:
    return crew.learners[role].build_calls(setups.learners[role])


def _scorer_calls(crew: Crew, setups: Setups, role: Role) -> list[Call]:
    return crew.scorers[role].build_calls(setups.scorers[role])


def _engine_calls(crew: Crew, setups: Setups) -> list[Call]:
    return [] if crew.rollouts is None else crew.rollouts.build_calls(setups.engines)
