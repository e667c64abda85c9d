"""Stop texts end a completion and stay in it, those of special tokens too."""

import pytest

WORD, SPECIAL = 9, 10


@pytest.fixture(scope="module")
def measured(measure_rollouts) -> dict:
    return measure_rollouts("stops")


@pytest.mark.parametrize("stop", [WORD, SPECIAL])
def test_a_stop_text_ends_a_completion_and_stays_in_it(measured, stop) -> None:
    stopped = [(reason, tokens) for reason, tokens in measured["stopped"] if stop in tokens]
    assert len(stopped) > 10
    assert all(tokens.index(stop) == len(tokens) - 1 for _, tokens in stopped)
    assert all(reason == "stop" for reason, _ in stopped)


def test_completions_without_a_stop_text_run_to_their_end_token_or_length(measured) -> None:
    others = [each for each in measured["stopped"] if not {WORD, SPECIAL} & set(each[1])]
    assert others
    assert all(reason == "length" or tokens[-1] == 1 for reason, tokens in others)
