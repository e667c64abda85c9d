"""Who sleeps and wakes before each task, in which order."""

from openrlhf_core.orchestration.turns import Member, Turns


class Diary:
    """A worker group that writes down what it is told."""

    def __init__(self, name: str, entries: list[str]) -> None:
        self.name = name
        self.entries = entries

    def sleep(self) -> None:
        self.entries.append(f"{self.name} sleeps")

    def wake(self) -> None:
        self.entries.append(f"{self.name} wakes")


def make_turns(entries: list[str]) -> Turns:
    return Turns(
        [
            Member(Diary("learner", entries), frozenset({"train", "sync"})),
            Member(Diary("engine", entries), frozenset({"generate", "sync"})),
            Member(Diary("reference", entries), frozenset({"reference"})),
        ]
    )


def test_one_step_of_a_hybrid_engine_in_order() -> None:
    entries: list[str] = []
    turns = make_turns(entries)
    turns.begin("generate")
    assert entries == ["learner sleeps", "reference sleeps"]
    entries.clear()
    turns.begin("reference")
    assert entries == ["engine sleeps", "reference wakes"]
    entries.clear()
    turns.begin("train")
    assert entries == ["reference sleeps", "learner wakes"]
    entries.clear()
    turns.begin("sync")
    assert entries == ["engine wakes"]
    entries.clear()
    turns.begin("generate")
    assert entries == ["learner sleeps"]


def test_the_same_task_twice_moves_nobody() -> None:
    entries: list[str] = []
    turns = make_turns(entries)
    turns.begin("train")
    entries.clear()
    turns.begin("train")
    assert entries == []


def test_never_more_than_the_needed_are_awake_while_somebody_wakes() -> None:
    entries: list[str] = []
    turns = make_turns(entries)
    for task in ("generate", "train", "sync", "reference", "generate"):
        entries.clear()
        turns.begin(task)
        kinds = [entry.split()[1] for entry in entries]
        assert kinds == sorted(kinds), "all sleep before any wakes"


def test_without_members_a_turn_is_nothing() -> None:
    Turns([]).begin("generate")
