"""What an engine is loaded with, and which of vLLM's refusals are worth another attempt."""

import pytest


@pytest.fixture(scope="module")
def measured(measure_rollouts) -> dict:
    return measure_rollouts("loading")


def test_an_engine_generates_as_far_as_yarn_stretches_the_model(measured) -> None:
    assert measured["yarn_gap"] < 1e-4


@pytest.mark.parametrize(
    ("case", "field"),
    [("no_free_memory", "memoryFraction"), ("no_free_host_memory", "kvCacheBytes")],
)
def test_too_little_free_memory_may_pass_and_asks_for_less(measured, case, field) -> None:
    assert measured[case].startswith("RetryableError: ")
    assert measured[case].endswith(f"; lower rollout.{field}")
    assert "Decrease" not in measured[case]


def test_a_cache_too_small_for_one_sequence_is_final_and_asks_for_more(measured) -> None:
    assert measured["small_cache"].startswith("ConfigurationError: ")
    assert "raise rollout.memoryFraction" in measured["small_cache"]
