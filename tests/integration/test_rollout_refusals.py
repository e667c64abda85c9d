"""Models and settings that an engine refuses."""

import pytest


@pytest.fixture(scope="module")
def measured(measure_rollouts) -> dict:
    return measure_rollouts("refusals")


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("head_size", "attention heads of size 16"),
        ("architecture", "NoSuchModel"),
        ("stop_without_tokenizer", "has no tokenizer"),
        ("too_long", "add up to 257 tokens"),
        ("small_cache", "raise rollout.kvCacheBytes"),
    ],
)
def test_what_an_engine_cannot_run_is_a_configuration_error(measured, case, reason) -> None:
    assert measured[case].startswith("ConfigurationError: ")
    assert reason in measured[case]
