"""The log of a driver that has ended: its record, its last Progress, its last lines."""

from typing import Any

import pytest

from openrlhf_core.spec.exit_codes import Cause, RunError
from openrlhf_core.spec.last_words import LAST_WORDS, LastWords, last_words_line
from openrlhf_core.spec.progress import LAST_PROGRESS
from rlhf_operator.clients.driver_log import MAX_LINES, read_log

RECORD = '{"exitCode":10,"cause":"WorkerLost","message":"learner rank 1 is lost: its node is gone"}'


def test_the_record_and_the_progress_are_taken_out_of_the_log(build: Any) -> None:
    board = build.progress(step=10).model_dump_json(by_alias=True)
    log = read_log(f"first\n\n{LAST_WORDS}{RECORD}\n{LAST_PROGRESS}{board}\nlast\n")
    expected = LastWords(
        exit_code=10, cause=Cause.WORKER_LOST, message="learner rank 1 is lost: its node is gone"
    )
    assert log.last_words == expected
    assert log.progress is not None
    assert log.progress.step == 10
    assert log.last_lines == "first\nlast"


def test_a_log_without_records_has_its_last_lines_only() -> None:
    log = read_log("\n".join(f"line {number}" for number in range(100)))
    assert (log.last_words, log.progress) == (None, None)
    assert len(log.last_lines.splitlines()) == MAX_LINES
    assert log.last_lines.endswith("line 99")


def test_the_last_of_several_records_counts() -> None:
    later = RECORD.replace("10", "30").replace("WorkerLost", "NonFinite")
    log = read_log(f"{LAST_WORDS}{RECORD}\n{LAST_WORDS}{later}\n")
    assert log.last_words is not None
    assert (log.last_words.exit_code, log.last_words.cause) == (30, Cause.NON_FINITE)


@pytest.mark.parametrize(
    "record",
    [
        RECORD[:40],
        "3",
        "[]",
        RECORD.replace("WorkerLost", "Boredom"),
        RECORD.replace("10", '"ten"'),
        RECORD.replace("10", "0"),
        RECORD.replace("10", "256"),
        RECORD.replace("learner", "x" * 5000),
    ],
)
def test_a_record_that_is_wrong_in_any_field_is_no_record(record: str) -> None:
    log = read_log(f"starting Ray\n{LAST_WORDS}{record}\n")
    assert log.last_words is None
    assert log.last_lines == "starting Ray"


def test_a_message_with_odd_line_ends_stays_one_record() -> None:
    line = last_words_line(RunError("a\nb\u2028c\x85d"))
    log = read_log(f"before\n{line}after\n")
    assert log.last_words is not None
    assert log.last_words.message == "a\nb?c?d"
