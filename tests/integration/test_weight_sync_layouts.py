"""After a sync the engine's log-probs are the learner's, for every layout."""

import pytest

LAYOUTS = ("qwen2-tied", "qwen2-untied", "llama-tied", "llama-untied")


@pytest.fixture(scope="module")
def measured(measure_rollouts) -> dict:
    return measure_rollouts("layouts")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fresh_engine_agrees_with_transformers(measured, layout) -> None:
    assert measured[layout]["gaps"][0] < 1e-4


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sync", [1, 2])
def test_an_engine_agrees_with_the_learner_after_each_sync(measured, layout, sync) -> None:
    assert measured[layout]["gaps"][sync] < 1e-4
    assert measured[layout]["versions"][sync - 1] == sync


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_that_did_not_arrive_would_show(measured, layout) -> None:
    assert measured[layout]["stale_gap"] > 0.1
