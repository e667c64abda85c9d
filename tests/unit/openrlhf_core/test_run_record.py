"""Which specs may continue a run, and how their differences are named."""

from datetime import UTC, datetime
from typing import Any

import pytest

from openrlhf_core.run_record import RunRecord, differences, grows
from openrlhf_core.spec.kinds.training import TrainingSpec


def make_training(**changes: Any) -> TrainingSpec:
    """A small spec; each change is a top-level field in YAML's spelling."""
    spec = {
        "recipe": "RL",
        "model": {"policy": {"source": "builtin://tiny"}},
        "reward": {"functions": [{"name": "digits", "source": "builtin://digits"}]},
        "data": {"train": [{"source": "builtin://digits"}]},
        "rl": {"algorithm": "GRPO"},
        "maxSteps": 80,
    }
    return TrainingSpec.model_validate(spec | changes, strict=False)


def changes_to(**changes: Any) -> list[str]:
    return [str(change) for change in differences(make_training(), make_training(**changes))]


def refused(**changes: Any) -> list[str]:
    found = differences(make_training(), make_training(**changes))
    return [change.field for change in found if not change.is_free]


def test_equal_specs_differ_in_nothing() -> None:
    assert changes_to() == []
    assert changes_to(seed=42) == []


def test_a_difference_names_the_field_as_in_yaml_with_both_values() -> None:
    assert changes_to(optimizer={"learningRate": 0.5}) == [
        "training.optimizer.learningRate was 1e-06 and is now 0.5"
    ]


def test_entries_of_named_lists_go_by_their_names() -> None:
    functions = [{"name": "digits", "source": "builtin://copy"}]
    assert changes_to(reward={"functions": functions}) == [
        'training.reward.functions[digits].source was "builtin://digits" and is now '
        '"builtin://copy"'
    ]


def test_a_field_that_one_side_lacks_is_absent() -> None:
    assert changes_to(maxSteps=None, epochs=2) == [
        "training.epochs was absent and is now 2",
        "training.maxSteps was 80 and is now absent",
    ]


def test_every_difference_is_named_at_once() -> None:
    assert refused(seed=1, optimizer={"betas": [0.5, 0.6]}, rl={"algorithm": "RLOO"}) == [
        "optimizer.betas",
        "rl.algorithm",
        "seed",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"logging": {"tensorboard": True}},
        {"checkpoint": {"everySteps": 1, "keep": 9}},
        {"checkpoint": {"resume": "Never"}},
        {"weightSync": {"timeoutSeconds": 1.5}},
        {"maxSteps": 81},
    ],
)
def test_what_does_not_change_the_training_may_differ(changes: dict[str, Any]) -> None:
    assert changes_to(**changes) != []
    assert refused(**changes) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"maxSteps": 79}, "maxSteps"),
        ({"weightSync": {"bucketBytes": 65536}}, "weightSync.bucketBytes"),
        ({"placement": {"groups": [{"name": "all", "roles": ["Policy"]}]}}, "placement.groups"),
    ],
)
def test_what_changes_the_training_may_not(changes: dict[str, Any], field: str) -> None:
    assert refused(**changes)[0].startswith(field)


def test_going_from_steps_to_epochs_is_another_run() -> None:
    assert refused(maxSteps=None, epochs=100) == ["epochs", "maxSteps"]


def test_only_more_steps_or_epochs_grow_a_run() -> None:
    assert grows(make_training(), make_training(maxSteps=100))
    assert not grows(make_training(), make_training(logging={"tensorboard": True}))


def test_a_record_reads_back_as_itself() -> None:
    record = RunRecord(
        run_id="ab",
        began=datetime(2026, 11, 25, 23, 59, tzinfo=UTC),
        job_uid="",
        training=make_training(),
        finished_step=80,
    )
    assert RunRecord.model_validate_json(record.to_json()) == record
