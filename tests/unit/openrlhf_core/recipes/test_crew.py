"""The order in which roles load, and what is left of a crew that must commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from openrlhf_core.checkpoint import Checkpoint
from openrlhf_core.orchestration.turns import Turns
from openrlhf_core.recipes.crew import Crew, Setups, leave_work, load_crew

SETUPS: Any = Setups({"Policy": None}, {"Reference": None})  # type: ignore[dict-item]


@dataclass
class FakeGroup:
    """A role that writes down what it is told; a call is made when it is collected."""

    name: str
    diary: list[str]

    def _say(self, what: str) -> None:
        self.diary.append(f"{self.name} {what}")

    def build_calls(self, setup: Any) -> list[Callable[[], None]]:
        return [lambda: self._say("builds")]

    def load(self, directory: Path) -> None:
        self._say(f"loads {directory}")

    def abandon(self) -> None:
        self._say("abandons")

    def kill(self) -> None:
        self._say("is killed")

    def sleep(self) -> None:
        self._say("sleeps")

    def wake(self) -> None:
        self._say("wakes")


def collect(calls: Sequence[Callable[[], None]], **_: Any) -> None:
    for call in calls:
        call()


@pytest.fixture
def diary() -> list[str]:
    return []


@pytest.fixture
def crew(diary: list[str]) -> Crew:
    """Three roles that share devices on CUDA."""
    policy: Any = FakeGroup("policy", diary)
    reference: Any = FakeGroup("reference", diary)
    engines: Any = FakeGroup("engines", diary)
    turns = Turns({"Policy": policy, "Reference": reference, "Rollout": engines})
    wait: Any = collect
    return Crew({"Policy": policy}, {"Reference": reference}, engines, turns, wait, True)


def load(crew: Crew, diary: list[str], found: Any = None) -> None:
    load_crew(crew, SETUPS, found, lambda: diary.append("learners are ready"))


def test_roles_that_share_devices_load_one_after_the_other(crew: Crew, diary: list[str]) -> None:
    load(crew, diary)
    assert diary == [
        "policy builds",
        "learners are ready",
        "policy sleeps",
        "reference builds",
        "reference sleeps",
        "engines builds",
    ]


def test_elsewhere_engines_are_waited_for_last(crew: Crew, diary: list[str]) -> None:
    load(replace(crew, turns=Turns({}), loads_in_turn=False), diary)
    assert diary == ["policy builds", "reference builds", "learners are ready", "engines builds"]


@pytest.mark.parametrize("loads_in_turn", [True, False])
def test_a_trained_role_continues_from_its_own_folder(
    crew: Crew, diary: list[str], loads_in_turn: bool
) -> None:
    found: Any = Checkpoint(None, Path("step"), None)  # type: ignore[arg-type]
    load(replace(crew, loads_in_turn=loads_in_turn), diary, found)
    assert diary.index("policy loads step/roles/policy") < diary.index("learners are ready")


def test_left_work_leaves_the_learners_awake_and_nobody_else(crew: Crew, diary: list[str]) -> None:
    load(crew, diary)
    diary.clear()
    leave_work(crew)
    assert diary == ["engines is killed", "reference is killed", "policy abandons", "policy wakes"]


def test_a_crew_without_engines_leaves_its_work_too(crew: Crew, diary: list[str]) -> None:
    leave_work(replace(crew, rollouts=None, scorers={}, turns=Turns({})))
    assert diary == ["policy abandons"]
