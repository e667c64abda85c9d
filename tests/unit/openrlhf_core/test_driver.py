"""The last words of a driver on a cluster, which its operator reads."""

from openrlhf_core.driver import last_words
from openrlhf_core.spec.exit_codes import Cause, WorkerLost
from openrlhf_core.spec.last_words import LAST_WORDS, LastWords
from openrlhf_core.spec.progress import LAST_PROGRESS, Progress
from openrlhf_core.telemetry.progress import ProgressBoard


def test_why_it_failed_and_how_far_it_came_are_a_line_each() -> None:
    board = ProgressBoard(2, 80, {}, None, 0)
    error, word = last_words(board, WorkerLost("rank 1 is lost\nits node is gone")).splitlines()
    record = LastWords.model_validate_json(error.removeprefix(LAST_WORDS))
    assert (record.exit_code, record.cause) == (10, Cause.WORKER_LOST)
    assert record.message == "rank 1 is lost\nits node is gone"
    assert Progress.model_validate_json(word.removeprefix(LAST_PROGRESS)).attempt == 2


def test_a_driver_that_succeeded_before_it_had_a_board_says_nothing() -> None:
    assert last_words(None, None) == ""
