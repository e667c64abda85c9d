"""After a sync the experts of a mixture compute with the learner's weights."""

import pytest


@pytest.fixture(scope="module")
def measured(measure_experts) -> dict:
    return measure_experts("experts")


@pytest.mark.parametrize("model", ["even", "padded"])
def test_a_fresh_engine_of_experts_agrees_with_transformers(measured, model) -> None:
    assert measured[model][0] < 1e-4


@pytest.mark.parametrize("model", ["even", "padded"])
def test_a_sync_of_the_same_weights_changes_nothing(measured, model) -> None:
    assert measured[model][1] < 1e-4


@pytest.mark.parametrize("model", ["even", "padded"])
def test_an_engine_of_experts_agrees_with_the_learner_after_a_change(measured, model) -> None:
    assert measured[model][2] < 1e-4
