import os
import sys
from pathlib import Path

import pytest

from bench_measure import Interval, Launch, Snapshot, between, count_rows, kind_of, measure

BURN = """
import subprocess, sys, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
def row():
    with open(sys.argv[1], "a") as file:
        file.write("{}\\n")
"""


def launch(directory: Path, body: str, timeout_seconds: float = 60.0) -> Launch:
    rows = directory / "rows.jsonl"
    command = [sys.executable, "-c", BURN + body, str(rows)]
    return Launch(command, os.environ, rows, directory / "log.txt", timeout_seconds)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["ray::RolloutActor.generate"], "engine"),
        (["ray::RolloutActor"], "engine"),
        (["ray::LearnerActor.update"], "learner"),
        (["ray::RewardWorker.score"], "reward workers"),
        (["ray::IDLE"], "Ray daemons"),
        (["/somewhere/ray/core/src/ray/raylet/raylet", "--x"], "Ray daemons"),
        (["/somewhere/gcs_server", "--x"], "Ray daemons"),
        (["/bin/python", "/somewhere/site-packages/ray/_private/log_monitor.py"], "Ray daemons"),
        (["/bin/sleep", "1"], "other"),
        ([], "other"),
    ],
)
def test_a_process_is_told_by_its_command_line(command, kind):
    assert kind_of(command, is_root=False) == kind


def test_the_first_process_is_the_driver_whatever_it_is_called():
    assert kind_of(["ray::IDLE"], is_root=True) == "driver"


def test_an_interval_is_the_difference_of_two_moments():
    start = Snapshot(10.0, {"driver": 1.0, "engine": 4.0})
    end = Snapshot(12.0, {"driver": 1.5, "engine": 5.0, "learner": 0.25})
    found = between(start, end)
    assert found.wall_seconds == 2.0
    assert found.cpu_seconds == {"driver": 0.5, "engine": 1.0, "learner": 0.25}
    assert found.total_cpu == pytest.approx(1.75)


def test_a_kind_that_has_ended_is_taken_back_from_who_waited_for_it():
    # The driver's children took 3 s; one of them had used 2 s at the start: 1 s is new.
    found = between(Snapshot(0.0, {"driver": 1.0, "other": 2.0}), Snapshot(1.0, {"driver": 4.0}))
    assert found.total_cpu == pytest.approx(1.0)


def test_only_the_steps_between_the_two_rows_are_measured(tmp_path):
    body = "burn(1.0); row(); burn(0.3); row(); burn(1.0); row()"
    found = measure(launch(tmp_path, body), first=1, last=2)
    assert 0.25 <= found.total_cpu <= 0.6
    assert found.wall_seconds >= 0.25


def test_children_count_while_they_live_and_after_they_were_waited_for(tmp_path):
    child = "import time\\nwhile time.process_time() < 0.3: pass"
    body = f"row(); subprocess.run([sys.executable, '-c', '{child}']); row(); time.sleep(0.2)"
    found = measure(launch(tmp_path, body), first=1, last=2)
    assert 0.25 <= found.total_cpu <= 0.8


def test_a_run_that_fails_names_its_log(tmp_path):
    with pytest.raises(RuntimeError, match=r"ended before step 1: see .*log\.txt"):
        measure(launch(tmp_path, "raise SystemExit(3)"), first=1, last=2)


def test_a_run_that_fails_after_its_last_row_is_no_result(tmp_path):
    with pytest.raises(RuntimeError, match="ended with 3"):
        measure(launch(tmp_path, "row(); row(); raise SystemExit(3)"), first=1, last=2)


def test_a_run_that_takes_too_long_is_ended(tmp_path):
    with pytest.raises(RuntimeError, match="step 2 did not come in time"):
        measure(launch(tmp_path, "row(); time.sleep(60)", timeout_seconds=5.0), first=1, last=2)


def test_a_file_that_is_not_there_yet_has_no_rows(tmp_path):
    assert count_rows(tmp_path / "none") == 0


def test_the_total_is_over_all_kinds():
    assert Interval(1.0, {"a": 1.0, "b": 0.5}, 0.0).total_cpu == 1.5
