"""Several engines in one group: the same seeds draw the same tokens, whatever came before."""

import pytest


@pytest.fixture(scope="module")
def measured(measure_rollouts) -> dict:
    return measure_rollouts("two_engines")


def test_the_same_seeds_draw_the_same_tokens_again_and_in_a_second_engine(measured) -> None:
    once, again, second = measured["before"]
    assert once == again == second


def test_both_engines_draw_alike_after_a_sync(measured) -> None:
    first, second = measured["changed"]
    assert first == second
    assert first != measured["before"][0]


def test_syncing_the_first_weights_back_brings_the_first_tokens_back(measured) -> None:
    assert measured["back"] == [measured["before"][0]] * 2


def test_every_engine_reports_the_version_it_holds(measured) -> None:
    assert measured["versions"] == [2, 2, 2]


def test_a_bfloat16_engine_takes_float32_weights(measured) -> None:
    assert measured["bfloat16_gap"] < 0.1
