"""Stand-ins for unit tests: an actor handle without Ray, a learner and an engine without models.

The real things are tested in tests/integration.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from openrlhf_core.engines.protocols import (
    Completion,
    GenerationRequest,
    Learner,
    RequestId,
    RolloutEngine,
    SyncGroup,
    WeightInfo,
)
from openrlhf_core.objectives.metrics import Measurement
from openrlhf_core.orchestration.collect import Call
from openrlhf_core.rewards.source import CheckStop, PartScores, Ticket
from openrlhf_core.samples import OptimizerBatch, Rollout
from openrlhf_core.spec.exit_codes import WorkAbandoned

Diary = list[str]


@dataclass(frozen=True)
class Method:
    """A method of an actor, called with `.remote(...)`; the call is made when it is collected."""

    call: Callable[..., Any]

    def remote(self, *arguments: Any) -> Callable[[], Any]:
        return lambda: self.call(*arguments)


class Handle:
    """A handle of an actor that lives in this process."""

    def __init__(self, actor: object) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Method:
        return Method(getattr(self._actor, name))


def collect(
    calls: Sequence[Call],
    *,
    finish: bool = False,
    on_stop: Callable[[], None] | None = None,
    timeout_seconds: float | None = None,
) -> list[Any]:
    """Makes each call now, in order."""
    return [call.reference() for call in calls]


@dataclass
class FakeLearner:
    """Implements Learner: its whole model is one number, which each update raises by 1."""

    diary: Diary = field(default_factory=list)
    weight: float = 0.0
    gap: float = 0.0
    updates: list[OptimizerBatch[Any]] = field(default_factory=list)
    is_abandoned: bool = False

    def score(self, micro_batches: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        self.diary.append("learner reads log-probs")
        return [[fake_logprobs(ids) for ids in batch] for batch in micro_batches]

    def update(
        self, batch: OptimizerBatch[Any], *, may_abandon: bool = False
    ) -> dict[str, Measurement]:
        if may_abandon and self.is_abandoned:
            raise WorkAbandoned("the fake learner left its work")
        self.diary.append("learner updates")
        self.updates.append(batch)
        self.weight += 1.0
        return {
            "policy/loss": Measurement(self.weight),
            "policy/skipped_updates": Measurement(0.0),
            "rollout/logprob_gap": Measurement(self.gap),
        }

    def abandon(self) -> None:
        self.is_abandoned = True

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        yield "weight", torch.tensor([self.weight])

    def describe(self) -> list[WeightInfo]:
        return [WeightInfo("weight", "float32", (1,))]

    def save(self, directory: Path) -> list[Path]:
        self.diary.append("learner saves")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "weight.json").write_text(json.dumps(self.weight))
        return [Path("weight.json")]

    def load(self, directory: Path) -> None:
        self.diary.append("learner loads")
        self.weight = json.loads((directory / "weight.json").read_text())

    def export(self, directory: Path) -> list[Path]:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "model.safetensors").write_text(json.dumps(self.weight))
        return [Path("model.safetensors")]

    def sleep(self) -> None:
        self.diary.append("learner sleeps")

    def wake(self) -> None:
        self.diary.append("learner wakes")


@dataclass
class FakeEngine:
    """Implements RolloutEngine: a completion is two tokens drawn from its request's seed."""

    diary: Diary = field(default_factory=list)
    version: int = 0
    requests: list[GenerationRequest] = field(default_factory=list)
    under_way: list[GenerationRequest] = field(default_factory=list)
    completions_per_poll: int | None = None
    """None: a poll completes all that is under way."""
    is_paused: bool = False

    def submit(self, requests: Sequence[GenerationRequest]) -> None:
        self.requests.extend(requests)
        self.under_way.extend(requests)

    def poll(self, max_seconds: float) -> list[Completion]:
        if self.is_paused:
            return []
        self.diary.append("engine generates")
        count = self.completions_per_poll or len(self.under_way)
        done, self.under_way = self.under_way[:count], self.under_way[count:]
        return [fake_completion(request, self.version) for request in reversed(done)]

    def abort(self, request_ids: Sequence[RequestId]) -> None:
        self.under_way = [each for each in self.under_way if each.request_id not in request_ids]

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def connect(self, group: SyncGroup, first_rank: int, weights: Sequence[WeightInfo]) -> None:
        self.diary.append(f"engine connects as rank {first_rank}")

    def receive_weights(self, policy_version: int) -> int:
        self.diary.append(f"engine receives version {policy_version}")
        self.version = policy_version
        return self.version

    def sleep(self) -> None:
        self.diary.append("engine sleeps")

    def wake(self) -> None:
        self.diary.append("engine wakes")


def fake_completion(request: GenerationRequest, version: int) -> Completion:
    drawn = np.random.default_rng(request.seed).integers(0, 10, size=2).astype(np.int32)
    logprobs = fake_logprobs(np.concatenate([request.prompt_ids, drawn]))[-2:]
    versions = np.full(2, version, dtype=np.int32)
    return Completion(request.request_id, drawn, logprobs, versions, "length")


def fake_logprobs(token_ids: np.ndarray) -> np.ndarray:
    """Log-probs that depend on the tokens alone; 0 at index 0."""
    logprobs = -0.1 * (1 + token_ids % 7).astype(np.float32)
    logprobs[0] = 0.0
    return logprobs


@dataclass
class FakeSender:
    """Implements WeightSender; writes down what is sent."""

    diary: Diary

    def send(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        self.diary.append("learner sends " + ", ".join(f"{n}={t.item():g}" for n, t in weights))

    def close(self) -> None:
        pass


def implements_protocols(learner: FakeLearner, engine: FakeEngine) -> tuple[Learner, RolloutEngine]:
    """The type checker compares the fakes with the protocols here."""
    return learner, engine


@dataclass
class FakeRewardSource:
    """Implements RewardSource: one part, whose score is a completion's first token."""

    fails: Callable[[Rollout], bool] = lambda rollout: False
    name: str = "fake"
    weight: float = 1.0
    submitted: dict[Ticket, Sequence[Rollout]] = field(default_factory=dict)
    is_closed: bool = False

    def wait_ready(self, check_stop: CheckStop) -> None:
        check_stop()

    def submit(self, rollouts: Sequence[Rollout], queries: Sequence[str]) -> Ticket:
        assert len(rollouts) == len(queries)
        ticket = len(self.submitted)
        self.submitted[ticket] = rollouts
        return ticket

    def collect(self, ticket: Ticket, check_stop: CheckStop) -> list[PartScores]:
        check_stop()
        rollouts = self.submitted[ticket]
        scores = [None if self.fails(r) else float(r.completion_ids[0]) for r in rollouts]
        error = "a fake failure" if None in scores else None
        return [PartScores(self.name, self.weight, scores, error)]

    def close(self) -> None:
        self.is_closed = True
