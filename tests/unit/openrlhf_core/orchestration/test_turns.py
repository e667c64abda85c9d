"""Which roles sleep and wake before each task, in which order."""

from openrlhf_core.orchestration.turns import Turns
from openrlhf_core.spec.kinds.placement import Role


class Diary:
    """A role that writes down what it is told."""

    def __init__(self, name: str, entries: list[str]) -> None:
        self.name = name
        self.entries = entries

    def sleep(self) -> None:
        self.entries.append(f"{self.name} sleeps")

    def wake(self) -> None:
        self.entries.append(f"{self.name} wakes")


def make_turns(entries: list[str]) -> Turns:
    """Three roles that share devices, all loaded and awake."""
    turns = Turns(
        {
            "Policy": Diary("policy", entries),
            "Rollout": Diary("engine", entries),
            "Reference": Diary("reference", entries),
        }
    )
    for role in ("Policy", "Rollout", "Reference"):
        turns.built(role)
    return turns


def test_one_step_of_a_hybrid_engine_in_order() -> None:
    entries: list[str] = []
    turns = make_turns(entries)
    turns.begin("Rollout")
    assert entries == ["policy sleeps", "reference sleeps"]
    entries.clear()
    turns.begin("Reference")
    assert entries == ["engine sleeps", "reference wakes"]
    entries.clear()
    turns.begin("Policy")
    assert entries == ["reference sleeps", "policy wakes"]
    entries.clear()
    turns.begin("Policy", "Rollout")
    assert entries == ["engine wakes"]
    entries.clear()
    turns.begin("Rollout")
    assert entries == ["policy sleeps"]


def test_the_same_task_twice_moves_nobody() -> None:
    entries: list[str] = []
    turns = make_turns(entries)
    turns.begin("Policy")
    entries.clear()
    turns.begin("Policy")
    assert entries == []


def test_every_sleep_comes_before_any_wake() -> None:
    entries: list[str] = []
    turns = make_turns(entries)
    tasks: list[list[Role]] = [["Rollout"], ["Policy"], ["Policy", "Rollout"], ["Reference"]]
    for task in [*tasks, *tasks]:
        entries.clear()
        turns.begin(*task)
        kinds = [entry.split()[1] for entry in entries]
        assert kinds == sorted(kinds)


def test_a_role_that_has_loaded_nothing_is_not_put_to_sleep() -> None:
    entries: list[str] = []
    turns = Turns({"Policy": Diary("policy", entries), "Rollout": Diary("engine", entries)})
    turns.built("Policy")
    turns.begin()
    assert entries == ["policy sleeps"]


def test_a_role_that_has_ended_is_not_put_to_sleep() -> None:
    entries: list[str] = []
    turns = make_turns(entries)
    turns.begin("Rollout")
    entries.clear()
    turns.ended("Rollout")
    turns.begin("Policy")
    assert entries == ["policy wakes"]


def test_roles_that_take_no_turns_are_left_alone() -> None:
    Turns({}).begin("Policy", "Rollout")
