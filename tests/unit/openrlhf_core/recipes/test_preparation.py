"""How many steps a run has."""

from typing import Any

import pytest

from openrlhf_core.recipes.preparation import total_steps
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.training import TrainingSpec


def make_training(**duration: Any) -> TrainingSpec:
    policy = {"source": "builtin://tiny"}
    data = {"train": [{"source": "a.jsonl"}]}
    manifest = {"recipe": "SFT", "model": {"policy": policy}, "data": data, **duration}
    return TrainingSpec.from_manifest(manifest)


def test_max_steps_is_the_number_of_steps() -> None:
    assert total_steps(make_training(maxSteps=7), 10, 4, "f") == 7


def test_epochs_give_their_whole_steps() -> None:
    assert total_steps(make_training(epochs=1), 10, 4, "f") == 2
    assert total_steps(make_training(epochs=2), 10, 4, "f") == 5


def test_epochs_that_fill_no_step_are_refused_by_field() -> None:
    with pytest.raises(ConfigurationError, match=r"1 pass\(es\) over 3 samples .* rl.size 4"):
        total_steps(make_training(epochs=1), 3, 4, "rl.size")
