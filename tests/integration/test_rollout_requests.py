"""Requests of an engine are polled in parts, aborted, paused and overtaken by new weights."""

import pytest


@pytest.fixture(scope="module")
def measured(measure_rollouts) -> dict:
    return measure_rollouts("requests")


def test_a_poll_without_time_makes_one_token_and_completes_nothing(measured) -> None:
    assert measured["first_polls"] == [0, 0, 0]


def test_an_aborted_request_has_no_completion_and_changes_no_other(measured) -> None:
    assert set(measured["after_abort"]) == {"0", "2", "3", "5"}
    for number, tokens in measured["after_abort"].items():
        assert tokens == measured["whole"][int(number)]


def test_requests_may_be_aborted_before_their_first_token(measured) -> None:
    assert measured["aborted_before_a_token"] == 0
    assert measured["aborted_unknown"] == ""


def test_an_engine_that_slept_has_dropped_its_requests(measured) -> None:
    assert measured["asleep"] == 0


def test_a_pause_ends_a_poll_within_a_second(measured) -> None:
    assert measured["paused"]["seconds"] < 1.0
    assert measured["paused"]["before"] == 0


def test_a_paused_engine_generates_nothing(measured) -> None:
    assert measured["paused"]["while_paused"] == 0


def test_requests_go_on_after_a_pause_with_the_tokens_that_they_have(measured) -> None:
    assert measured["paused"]["same_tokens"]
    assert measured["paused"]["longer"]


def test_each_token_says_which_policy_version_drew_it(measured) -> None:
    overtaken = measured["overtaken"]
    assert overtaken["second"] == overtaken["first"] + 1
    for row in overtaken["rows"]:
        assert row["versions"] == [overtaken["first"], overtaken["second"]]
        assert row["is_ordered"]


def test_a_tokens_log_prob_is_of_the_version_that_drew_it(measured) -> None:
    for row in measured["overtaken"]["rows"]:
        assert row["old_gap"] < 1e-4
        assert row["new_gap"] < 1e-4
        assert row["stale_gap"] > 0.1
