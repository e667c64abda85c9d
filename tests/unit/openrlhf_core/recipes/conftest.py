"""One RL step's worth of fakes, joined as the driver joins the real ones."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest

from openrlhf_core.checkpoint import CheckpointStore, role_directory
from openrlhf_core.checkpoint_manifest import RunState
from openrlhf_core.data.balance import BatchLimits
from openrlhf_core.engines.learner_settings import Rank
from openrlhf_core.engines.protocols import SyncGroup, WeightInfo
from openrlhf_core.orchestration.actor_group import ActorGroup
from openrlhf_core.orchestration.learners import LearnerActor, LearnerGroup
from openrlhf_core.orchestration.rollouts import RolloutActor, RolloutGroup
from openrlhf_core.orchestration.turns import Turns
from openrlhf_core.orchestration.weight_sync import WeightSync
from openrlhf_core.recipes.rl.guard import ScoreGuard
from openrlhf_core.recipes.rl.step import RLWorkers, StepSettings, train_step
from openrlhf_core.recipes.run.journal import Journal, TrainingState
from openrlhf_core.rewards.rewards import Rewards
from openrlhf_core.samples import Prompt
from openrlhf_core.spec.kinds.rl import RLSpec
from openrlhf_core.spec.planning.presets import resolve_rl
from openrlhf_core.stop import StopFlag
from openrlhf_core.telemetry.progress import ProgressBoard
from openrlhf_core.telemetry.recorder import Recorder


@dataclass
class FakeSetup:
    """Gives actors the fakes instead of models."""

    learner: fakes.FakeLearner
    engine: fakes.FakeEngine

    def make(self, *_: Any) -> Any:
        return self.learner if _ else self.engine

    def make_sender(
        self, backend: str, group: SyncGroup, weights: Sequence[WeightInfo], rank: int
    ) -> fakes.FakeSender:
        return fakes.FakeSender(self.learner.diary)


class FakeStream:
    """Prompts whose one token is their number."""

    epoch_size = 4

    def batch(self, position: int, count: int) -> list[Prompt]:
        ids = range(position, position + count)
        return [Prompt(i, f"prompt {i}", np.array([i, 3], dtype=np.int32)) for i in ids]


class SilentDisplay:
    def wait_for(self, text: str) -> None: ...
    def count(self, text: str, done: int, total: int) -> None: ...
    def show(self, progress: Any) -> None: ...
    def note(self, text: str) -> None: ...
    def close(self) -> None: ...


@dataclass
class Stage:
    """Everything that a step touches."""

    settings: StepSettings
    workers: RLWorkers
    journal: Journal
    stop: StopFlag
    learner: fakes.FakeLearner
    engine: fakes.FakeEngine
    rewards: fakes.FakeRewardSource
    store: CheckpointStore
    diary: fakes.Diary = field(default_factory=list)

    def with_settings(self, **changes: Any) -> "Stage":
        return replace(self, settings=replace(self.settings, **changes))

    def train(self, total_steps: int = 3) -> None:
        """Does steps until `total_steps` are finished."""
        guard = ScoreGuard()
        while self.journal.state.step < total_steps:
            train_step(self.settings, self.workers, self.journal, guard)


MakeStage = Callable[..., Stage]


@pytest.fixture
def make_stage() -> Iterator[MakeStage]:
    """Makes stages: two prompts a step, two completions each; roles take turns."""
    with ExitStack() as stack:

        def make(output: Path, every_steps: int = 0) -> Stage:
            output.mkdir(exist_ok=True)
            return build_stage(output, every_steps, stack)

        yield make


@pytest.fixture
def stage(make_stage: MakeStage, tmp_path: Path) -> Stage:
    """A stage that commits no checkpoint by itself."""
    return make_stage(tmp_path)


def build_stage(output: Path, every_steps: int, stack: ExitStack) -> Stage:
    diary: fakes.Diary = []
    learner, engine = fakes.FakeLearner(diary), fakes.FakeEngine(diary)
    setup: Any = FakeSetup(learner, engine)
    learner_actor, rollout_actor = LearnerActor(None), RolloutActor(None)
    learner_actor.build(setup, Rank(0, 1, "host", 1))
    rollout_actor.build(setup)
    actors = ActorGroup("policy rank", [fakes.Handle(learner_actor)], fakes.collect)
    policy = LearnerGroup(actors, BatchLimits(max_tokens=64), fakes.collect)
    engines = ActorGroup("engine", [fakes.Handle(rollout_actor)], fakes.collect)
    rollouts = RolloutGroup(engines, 1, 4, fakes.collect)
    learner_actor.connect("gloo", SyncGroup("host", 1, 2, 1.0, 1), [])
    rewards = fakes.FakeRewardSource()
    stop = StopFlag(60.0)
    store = CheckpointStore(output, keep=2)
    stream: Any = FakeStream()
    turns = Turns({"Policy": policy, "Rollout": rollouts})
    turns.built("Policy")
    turns.built("Rollout")
    journal = Journal(
        stack.enter_context(closing(Recorder(output, 0))),
        store,
        ProgressBoard(1, 3, {}),
        SilentDisplay(),
        stop,
        state=TrainingState(0, 0, 0),
        every_steps=every_steps,
        save=lambda staged: policy.save(staged, role_directory(staged, "Policy")),
        run_state=lambda state: RunState(
            data_cursor=state.data_cursor,
            policy_version=state.policy_version,
            seed=1,
            spec_hash="",
            dataset_fingerprint="",
            world_size=1,
            versions={},
        ),
    )
    journal.trust_weights()
    settings = StepSettings(
        rl=resolve_rl(RLSpec(algorithm="GRPO", group_size=2, rollout_batch_size=2)),
        total_steps=3,
        seed=1,
        max_tokens=2,
        train_batch_size=4,
        num_data_shards=1,
        limits=BatchLimits(max_tokens=64),
        gap_dtype="Float32",
    )
    workers = RLWorkers(
        stream=stream,
        rollouts=rollouts,
        rewards=Rewards([rewards]),
        policy=policy,
        reference=None,
        weight_sync=WeightSync(policy, rollouts, fakes.collect, "gloo", 1.0, 1),
        turns=turns,
        queries=lambda found: ["text"] * len(found),
        check_stop=stop.check,
    )
    return Stage(settings, workers, journal, stop, learner, engine, rewards, store, diary)
