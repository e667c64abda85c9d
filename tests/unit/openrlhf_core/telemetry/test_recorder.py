"""metrics.jsonl: rows in order, no torn line, nothing that is not a number."""

import json
import math
import os
import resource
import signal
import time
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path

import pytest

from openrlhf_core.spec.exit_codes import RetryableError, RunError
from openrlhf_core.telemetry.metrics_file import MetricRow, cut_rows, read_rows
from openrlhf_core.telemetry.recorder import Recorder

FORK = get_context("fork")


def rows_of(output: Path) -> list[MetricRow]:
    return read_rows(output / "metrics.jsonl")


def steps_of(output: Path) -> list[int]:
    return [row.step for row in rows_of(output)]


def record_steps(output: Path, first: int, last: int) -> None:
    recorder = Recorder(output, start_step=first - 1)
    for step in range(first, last + 1):
        recorder.record(step, {"reward/mean": step / 10})
    recorder.close()


class ListSink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, dict[str, float]]] = []
        self.is_closed = False

    def write(self, step: int, time: float, metrics: Mapping[str, float]) -> None:
        self.taken.append((step, dict(metrics)))

    def close(self) -> None:
        self.is_closed = True


def test_a_row_is_one_json_object_with_step_time_and_metrics(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, start_step=0, clock=lambda: 1763830000.25)
    recorder.record(1, {"reward/mean": 0.25, "kl/mean": 0})
    recorder.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "step": 1,
        "time": 1763830000.25,
        "metrics": {"reward/mean": 0.25, "kl/mean": 0.0},
    }


def test_a_row_can_be_read_before_the_recorder_is_closed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, start_step=0)
    recorder.record(1, {"reward/mean": 0.5})
    assert steps_of(tmp_path) == [1]
    recorder.close()


def test_values_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, start_step=0)
    kept = recorder.record(1, {"reward/mean": math.nan, "kl/mean": math.inf, "policy/loss": 2.0})
    recorder.close()
    assert kept == rows_of(tmp_path)[0].metrics == {"policy/loss": 2.0}


def test_a_name_outside_the_catalogue_writes_no_row(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, start_step=0)
    with pytest.raises(ValueError, match="reward/men"):
        recorder.record(1, {"reward/men": 1.0})
    recorder.close()
    assert steps_of(tmp_path) == []


@pytest.mark.parametrize("step", [0, 3, 5])
def test_steps_must_follow_each_other(tmp_path: Path, step: int) -> None:
    recorder = Recorder(tmp_path, start_step=3)
    with pytest.raises(ValueError, match="does not follow row 3"):
        recorder.record(step, {})
    recorder.close()


def test_a_resume_cuts_the_rows_after_its_checkpoint(tmp_path: Path) -> None:
    record_steps(tmp_path, 1, 7)
    record_steps(tmp_path, 6, 8)
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_run_that_begins_anew_cuts_all_rows(tmp_path: Path) -> None:
    record_steps(tmp_path, 1, 7)
    Recorder(tmp_path, start_step=0).close()
    assert (tmp_path / "metrics.jsonl").read_text() == ""


@pytest.mark.parametrize("torn", ['{"step": 3, "time"', '{"step": 3, "time": 1, "metrics": {}}'])
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: str) -> None:
    record_steps(tmp_path, 1, 2)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + torn)
    assert steps_of(tmp_path) == [1, 2]
    record_steps(tmp_path, 3, 3)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"step": "x", "time": 1, "metrics": {}}', "\0"])
def test_a_damaged_line_in_the_middle_is_dropped_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    path = tmp_path / "metrics.jsonl"
    good = MetricRow(1, 0.0, {}).to_line()
    path.write_text(f"{good}{line}\n{MetricRow(2, 0.0, {}).to_line()}")
    cut_rows(path, 2)
    assert [row.step for row in read_rows(path)] == [1, 2]
    assert "metrics.jsonl:2 is not a row" in caplog.text


def test_rows_that_stay_keep_their_bytes(tmp_path: Path) -> None:
    record_steps(tmp_path, 1, 3)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    Recorder(tmp_path, start_step=3).close()
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_an_older_attempt_that_still_holds_the_file_writes_into_nothing(tmp_path: Path) -> None:
    older = Recorder(tmp_path, start_step=0)
    older.record(1, {})
    newer = Recorder(tmp_path, start_step=1)
    older.record(2, {"reward/mean": -1.0})
    newer.record(2, {"reward/mean": 1.0})
    assert [row.metrics for row in rows_of(tmp_path)] == [{}, {"reward/mean": 1.0}]
    older.close()
    newer.close()


def test_an_attempt_that_lost_the_directory_writes_no_row(tmp_path: Path) -> None:
    def taken() -> None:
        raise RetryableError("attempt 2 has taken the output directory")

    sink = ListSink()
    recorder = Recorder(tmp_path, start_step=0, sinks=[sink], still_ours=taken)
    with pytest.raises(RetryableError, match="attempt 2"):
        recorder.record(1, {})
    recorder.close()
    assert steps_of(tmp_path) == []
    assert sink.taken == []


def test_sinks_get_what_the_row_holds(tmp_path: Path) -> None:
    sink = ListSink()
    recorder = Recorder(tmp_path, start_step=4, sinks=[sink])
    recorder.record(5, {"reward/mean": 0.5, "kl/mean": math.nan})
    recorder.close()
    assert sink.taken == [(5, {"reward/mean": 0.5})]
    assert sink.is_closed


def record_and_die(output: Path) -> None:
    recorder = Recorder(output, start_step=0)
    for step in range(1, 6):
        recorder.record(step, {"reward/mean": 0.5})
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_after_a_row_loses_no_row(tmp_path: Path) -> None:
    child = FORK.Process(target=record_and_die, args=(tmp_path,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5]


def record_until_full(output: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
    recorder = Recorder(output, start_step=0)
    try:
        for step in range(1, 100):
            recorder.record(step, {"reward/mean": 0.5})
    except RunError as error:
        os._exit(error.exit_code if "metrics.jsonl" in str(error) else 1)
    os._exit(0)


def test_a_row_that_cannot_be_written_is_a_run_error(tmp_path: Path) -> None:
    child = FORK.Process(target=record_until_full, args=(tmp_path,))
    child.start()
    child.join()
    assert child.exitcode == RetryableError.exit_code
    assert steps_of(tmp_path)[:3] == [1, 2, 3]


def test_a_row_costs_less_than_a_millisecond(tmp_path: Path) -> None:
    names = [f"reward_function/f{number}" for number in range(40)]
    recorder = Recorder(tmp_path, start_step=0)
    begin = time.process_time()
    for step in range(1, 201):
        recorder.record(step, dict.fromkeys(names, step / 7))
    assert (time.process_time() - begin) / 200 < 1e-3
    recorder.close()
