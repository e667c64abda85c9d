"""An engine over two workers: the same promises, with each worker a member of the group."""

import pytest


@pytest.fixture(scope="module")
def measured(measure_broken_syncs) -> dict:
    return measure_broken_syncs("tensor_parallel")


def test_two_workers_agree_with_transformers(measured) -> None:
    assert measured["gaps"][0] < 1e-4


def test_two_workers_agree_with_the_learner_after_a_sync(measured) -> None:
    assert measured["gaps"][1] < 1e-4
    assert measured["versions"] == [1]


def test_a_learner_that_left_is_a_retryable_error_that_names_the_bucket(measured) -> None:
    assert measured["lost"].startswith("CollectiveTimeout: weight sync: ")
    assert "bucket 1 of" in measured["lost"]
