"""Builders of the spec's tests."""

from collections.abc import Callable
from typing import Any

import pytest

from openrlhf_core.spec.kinds.training import TrainingSpec

MakeTraining = Callable[..., TrainingSpec]


def training_manifest(**fields: Any) -> dict[str, Any]:
    return {
        "recipe": "RL",
        "model": {"policy": {"source": "builtin://tiny"}},
        "reward": {"functions": [{"source": "builtin://sums"}]},
        "data": {"train": [{"source": "builtin://sums"}]},
        "rl": {"algorithm": "GRPO"},
        "maxSteps": 3,
        **fields,
    }


@pytest.fixture
def make_training() -> MakeTraining:
    """Builds a TrainingSpec from camelCase fields over a small valid one."""
    return lambda **fields: TrainingSpec.from_manifest(training_manifest(**fields))
