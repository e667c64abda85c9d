"""Conditions and the phase derived from them."""

from pathlib import Path
from typing import Any

from rlhf_operator import conditions
from rlhf_operator.conditions import Reason, find, phase_of, with_condition


def test_a_transition_time_moves_only_when_the_status_does(build: Any) -> None:
    old = (build.condition("Running", "True", "DriverRunning", age=100),)
    same = with_condition(old, build.condition("Running", "True", "Other", age=0))
    assert same[0].last_transition_time == build.ago(100)
    assert same[0].reason == "Other"
    moved = with_condition(old, build.condition("Running", "False", "Other", age=0))
    assert moved[0].last_transition_time == build.ago(0)


def test_conditions_stand_in_one_order(build: Any) -> None:
    listed = with_condition(
        (build.condition("Failed", "False"),), build.condition("Validated", "True")
    )
    assert [condition.type for condition in listed] == ["Validated", "Failed"]
    assert find(listed, "Queued") is None


def test_the_phase_says_the_strongest_condition(build: Any) -> None:
    running = build.condition("Running", "True", "DriverRunning")
    assert phase_of([running]) == "Running"
    assert phase_of([running, build.condition("Queued", "True")]) == "Queued"
    assert phase_of([running, build.condition("Suspended", "True")]) == "Suspended"
    assert phase_of([running, build.condition("Complete", "True")]) == "Succeeded"
    complete = build.condition("Complete", "True")
    assert phase_of([complete, build.condition("Failed", "True")]) == "Failed"
    assert phase_of([]) == "Pending"


def test_the_phase_of_a_job_on_its_way_is_why_it_does_not_run(build: Any) -> None:
    for reason, phase in (
        ("Starting", "Starting"),
        ("Restarting", "Restarting"),
        ("NotStarted", "Pending"),
    ):
        assert phase_of([build.condition("Running", "False", reason)]) == phase
    assert phase_of([build.condition("Running", "Unknown", "ClusterUnreachable")]) == "Running"


def test_every_reason_is_given_somewhere() -> None:
    folder = Path(conditions.__file__).parent
    code = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    unused = [reason.name for reason in Reason if f"Reason.{reason.name}" not in code]
    assert unused == []
