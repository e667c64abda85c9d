"""A sync that cannot end well ends soon, with an error that says where."""

import pytest


@pytest.fixture(scope="module")
def measured(measure_broken_syncs) -> dict:
    return measure_broken_syncs("failures")


def test_a_learner_that_sends_nothing_is_given_up_after_the_timeout(measured) -> None:
    assert measured["silent"].startswith("CollectiveTimeout: weight sync: bucket 1 of 16")
    assert "embed_tokens" in measured["silent"]
    assert "timeoutSeconds (3 s)" in measured["silent"]
    assert 2.5 < measured["silent_seconds"] < 20


def test_a_learner_that_stops_halfway_is_noticed_long_before_the_timeout(measured) -> None:
    assert measured["broken"].startswith("CollectiveTimeout: weight sync: bucket 5 of 16")
    assert measured["broken_seconds"] < 20


def test_the_learners_error_names_the_weight_that_was_due(measured) -> None:
    assert "mlp.gate_proj.weight was announced" in measured["sender"]


def test_a_learner_that_would_leave_a_weight_out_is_refused_when_it_connects(measured) -> None:
    assert measured["incomplete"].startswith("ConfigurationError: the engine loads model.norm")
