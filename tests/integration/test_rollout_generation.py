"""What one engine generates: lengths, ends, order, temperature."""

import pytest

END = 1


@pytest.fixture(scope="module")
def measured(measure_rollouts) -> dict:
    return measure_rollouts("generation")


def test_logprobs_are_those_of_the_tempered_distribution(measured) -> None:
    assert measured["gap"] < 1e-4


def test_arrays_have_the_types_of_the_contract(measured) -> None:
    assert measured["types"] == ["int32", "float32", "int32"]


def test_a_completion_ends_with_the_end_token_or_at_its_length(measured) -> None:
    for reason, tokens in zip(measured["reasons"], measured["tokens"], strict=True):
        assert END not in tokens[:-1]
        assert (tokens[-1] == END) == (reason == "stop")
        assert reason == "stop" or len(tokens) == 64
    assert set(measured["reasons"]) == {"stop", "length"}


def test_answers_come_in_the_order_of_requests_and_each_keeps_its_length(measured) -> None:
    for number, (tokens, whole) in enumerate(
        zip(measured["short"], measured["tokens"], strict=True)
    ):
        assert tokens == whole[: 1 + number]


def test_greedy_sampling_is_the_argmax_of_transformers(measured) -> None:
    assert measured["greedy"] == measured["greedy_reference"]


def test_the_shortest_completion_counts_its_end_token(measured) -> None:
    assert min(measured["at_least_20"]) >= 20
    assert measured["at_most_5"] == 5


def test_no_requests_give_no_completions(measured) -> None:
    assert measured["none"] == 0


def test_a_request_beyond_the_sequence_length_is_refused(measured) -> None:
    assert measured["too_long"].startswith("ConfigurationError: a prompt of 12 tokens")


def test_a_prompt_of_another_vocabulary_is_refused(measured) -> None:
    assert measured["unknown_token"].startswith("ConfigurationError: a prompt holds token 128")


def test_sleep_and_wake_on_cpu_keep_the_weights(measured) -> None:
    assert measured["slept"]
