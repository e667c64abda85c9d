"""How a run ends: every error says its exit code and its cause, and fits the record."""

import pickle

import pytest

from openrlhf_core.spec import exit_codes
from openrlhf_core.spec.exit_codes import Cause, ExitCode, RunError
from openrlhf_core.spec.last_words import LAST_WORDS, MAX_MESSAGE, LastWords, last_words_line

ERRORS = [
    kind
    for kind in vars(exit_codes).values()
    if isinstance(kind, type) and issubclass(kind, RunError)
]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_fits_the_record_and_survives_the_way_to_another_process(
    kind: type[RunError],
) -> None:
    error = pickle.loads(pickle.dumps(kind("what happened")))
    line = last_words_line(error)
    record = LastWords.model_validate_json(line.removeprefix(LAST_WORDS))
    assert (record.exit_code, record.cause) == (kind.exit_code, kind.cause)
    assert record.message == "what happened"


def test_every_cause_belongs_to_an_error() -> None:
    assert {kind.cause for kind in ERRORS} == set(Cause)


def test_an_error_that_says_too_much_is_cut() -> None:
    line = last_words_line(RunError("x" * 10 * MAX_MESSAGE))
    assert len(LastWords.model_validate_json(line.removeprefix(LAST_WORDS)).message) == MAX_MESSAGE


def test_a_line_is_one_line() -> None:
    assert last_words_line(RunError("a\nb\u2028c")).count("\n") == 1
    assert int(ExitCode.RETRYABLE) == 10
