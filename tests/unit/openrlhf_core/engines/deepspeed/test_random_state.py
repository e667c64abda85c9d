"""Generators that go back to where they were."""

import random

import numpy as np
import pytest
import torch

from openrlhf_core.engines.deepspeed.random_state import random_state_kept_on, seed_everything


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_generators_go_back_on_the_named_error_alone() -> None:
    seed_everything(5)
    first, second, third = draw(), draw(), draw()
    seed_everything(5)
    with pytest.raises(KeyError), random_state_kept_on(KeyError):
        draw()
        raise KeyError
    assert draw() == first
    with pytest.raises(ValueError), random_state_kept_on(KeyError):
        assert draw() == second
        raise ValueError
    assert draw() == third
