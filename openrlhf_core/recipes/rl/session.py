"""The processes of a run of recipe RL: what they are made with, and how a run drives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from openrlhf_core.checkpoint import Checkpoint
from openrlhf_core.checkpoint_manifest import FileEntry
from openrlhf_core.data.prompts import PromptStream
from openrlhf_core.data.tokenizer import query_texts
from openrlhf_core.orchestration.collect import make_collect
from openrlhf_core.orchestration.reward_pool import RewardPool
from openrlhf_core.orchestration.weight_sync import WeightSync
from openrlhf_core.recipes.crew import Crew, leave_work, load_crew, save_crew, start_crew
from openrlhf_core.recipes.recipe import RunInputs
from openrlhf_core.recipes.rl.guard import ScoreGuard
from openrlhf_core.recipes.rl.setups import make_setups, sync_backend
from openrlhf_core.recipes.rl.step import RLWorkers, StepSettings, sync_weights, train_step
from openrlhf_core.recipes.run.journal import Journal
from openrlhf_core.rewards.rewards import Rewards
from openrlhf_core.spec.kinds.recipes import present
from openrlhf_core.stop import StopFlag

REWARD_LOG = Path("logs") / "reward.log"


@dataclass(frozen=True)
class PreparedRL:
    """Implements `recipe.Prepared`: tokenizer and prompts are read, every number is fixed."""

    inputs: RunInputs
    settings: StepSettings
    tokenizer: PreTrainedTokenizerBase
    stream: PromptStream

    @property
    def total_steps(self) -> int:
        return self.settings.total_steps

    @property
    def dataset_fingerprint(self) -> str:
        return self.stream.fingerprint

    def start(self, stop: StopFlag) -> "RLSession":
        """Starts the reward workers, reserves the devices and starts every role's processes."""
        config = self.inputs.config
        log = Path(config.output) / REWARD_LOG
        functions = present(config.training.reward).functions
        rewards = Rewards([RewardPool(functions, self.inputs.locator, log_file=log)])
        crew = start_crew(config, self.inputs.resolved, make_collect(stop))
        return RLSession(self, crew, rewards, stop)


class RLSession:
    """Implements `recipe.Session`."""

    def __init__(self, prepared: PreparedRL, crew: Crew, rewards: Rewards, stop: StopFlag) -> None:
        assert crew.rollouts is not None, "recipe RL has engines"
        self._prepared = prepared
        self._settings = prepared.settings
        self._crew = crew
        self._policy = crew.learners["Policy"]
        self._guard = ScoreGuard()
        spec = present(prepared.inputs.config.training.weight_sync)
        self._workers = RLWorkers(
            stream=prepared.stream,
            rollouts=crew.rollouts,
            rewards=rewards,
            policy=self._policy,
            reference=crew.scorers.get("Reference"),
            weight_sync=WeightSync(
                self._policy,
                crew.rollouts,
                crew.collect,
                sync_backend(prepared.inputs),
                spec.timeout_seconds,
                spec.bucket_bytes,
            ),
            turns=crew.turns,
            queries=partial(query_texts, prepared.tokenizer),
            check_stop=stop.check,
        )

    def changed_files(self, directory: Path, entries: Sequence[FileEntry]) -> list[str]:
        return self._policy.changed_files(directory, entries)

    def load(self, found: Checkpoint | None, journal: Journal) -> None:
        """Loads every model, and gives the engines the policy's weights."""

        def on_learners() -> None:
            journal.trust_weights()
            self._workers.rewards.wait_ready(self._workers.check_stop)

        inputs, stream = self._prepared.inputs, self._prepared.stream
        pad_id = self._prepared.tokenizer.pad_token_id
        setups = make_setups(inputs, self._settings, pad_id, stream.longest_prompt)
        load_crew(self._crew, setups, found, on_learners)
        self._crew.turns.begin("Policy")
        self._workers.weight_sync.connect()
        sync_weights(self._workers, journal.state.policy_version)

    def step(self, journal: Journal) -> None:
        train_step(self._settings, self._workers, journal, self._guard)

    def save(self, directory: Path) -> list[FileEntry]:
        return save_crew(self._crew, directory)

    def leave_work(self) -> None:
        leave_work(self._crew)
