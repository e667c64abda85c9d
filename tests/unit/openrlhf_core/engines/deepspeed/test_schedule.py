"""The learning rate by hand, and what holds for every schedule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.engines.deepspeed.schedule import learning_rate


def rates(schedule, total_steps=10, warmup_ratio=0.0, minimum_ratio=0.1, steps=None):
    return [
        learning_rate(
            step,
            total_steps,
            highest=1.0,
            schedule=schedule,
            warmup_ratio=warmup_ratio,
            minimum_ratio=minimum_ratio,
        )
        for step in range(steps or total_steps)
    ]


def test_constant_stays():
    assert rates("Constant") == [1.0] * 10


def test_warm_up_rises_in_equal_parts_to_the_highest():
    # ceil(0.25 x 10) = 3 steps: 1/3, 2/3, 3/3
    assert rates("Constant", warmup_ratio=0.25)[:4] == pytest.approx([1 / 3, 2 / 3, 1.0, 1.0])


def test_linear_falls_in_equal_parts_to_the_minimum():
    # 5 steps from 1 to 0.2: 1, 0.8, 0.6, 0.4, 0.2
    assert rates("Linear", 5, minimum_ratio=0.2) == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])


def test_cosine_is_half_way_in_the_middle():
    # 0.1 + 0.9 x 0.5 (1 + cos(pi / 2)) = 0.55
    assert rates("Cosine", 3) == pytest.approx([1.0, 0.55, 0.1])


@pytest.mark.parametrize("schedule", ["Cosine", "Linear"])
def test_steps_past_the_end_keep_the_last_rate(schedule):
    assert rates(schedule, 4, steps=7)[3:] == pytest.approx([0.1] * 4)


@given(
    schedule=st.sampled_from(["Constant", "Cosine", "Linear"]),
    total_steps=st.integers(1, 50),
    warmup_ratio=st.floats(0, 1),
    minimum_ratio=st.floats(0, 1),
)
def test_rates_stay_positive_and_never_exceed_the_highest(
    schedule, total_steps, warmup_ratio, minimum_ratio
):
    values = rates(schedule, total_steps, warmup_ratio, minimum_ratio)
    assert all(0 <= value <= 1 + 1e-12 for value in values)
    assert values[0] > 0
