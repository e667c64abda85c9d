"""A group names its actors and calls them together."""

import fakes
import pytest

from openrlhf_core.orchestration.actor_group import ActorGroup


class Counter:
    """An actor that counts."""

    def __init__(self, start: int) -> None:
        self.count = start
        self.is_asleep = False

    def add(self, amount: int) -> int:
        self.count += amount
        return self.count

    def sleep(self) -> None:
        self.is_asleep = True

    def wake(self) -> None:
        self.is_asleep = False


@pytest.fixture
def counters() -> list[Counter]:
    return [Counter(0), Counter(10)]


@pytest.fixture
def group(counters: list[Counter]) -> ActorGroup:
    return ActorGroup("policy rank", [fakes.Handle(each) for each in counters], fakes.collect)


def test_all_returns_results_by_rank(group: ActorGroup) -> None:
    assert group.all(lambda actor: actor.add.remote(1)) == [1, 11]
    assert len(group) == 2


def test_the_first_is_called_alone(group: ActorGroup, counters: list[Counter]) -> None:
    assert group.first(lambda actor: actor.add.remote(5)) == 5
    assert [counter.count for counter in counters] == [5, 10]


def test_calls_bear_the_name_of_role_and_rank(group: ActorGroup) -> None:
    calls = group.calls_with(lambda actor, amount: actor.add.remote(amount), [3, 4])
    assert [call.worker for call in calls] == ["policy rank 0", "policy rank 1"]
    assert fakes.collect(calls) == [3, 14]


def test_an_argument_for_each_rank_is_needed(group: ActorGroup) -> None:
    with pytest.raises(ValueError, match="argument"):
        group.calls_with(lambda actor, amount: actor.add.remote(amount), [3])


def test_all_sleep_and_wake(group: ActorGroup, counters: list[Counter]) -> None:
    group.sleep()
    assert all(counter.is_asleep for counter in counters)
    group.wake()
    assert not any(counter.is_asleep for counter in counters)
