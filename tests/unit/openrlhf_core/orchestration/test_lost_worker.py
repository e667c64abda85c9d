"""Why a worker was lost: what Ray knows, not what it guesses."""

from pathlib import Path

import pytest
from ray.exceptions import GetTimeoutError, OutOfMemoryError

from openrlhf_core.orchestration import lost_worker as loss
from openrlhf_core.orchestration.lost_worker import (
    Loss,
    count_memory_kills,
    death_of,
    loss_of,
    probe_pod,
)
from openrlhf_core.spec.exit_codes import CollectiveTimeout, OutOfMemory, RetryableError

NOTICE = """\
The actor died unexpectedly before finishing this task.
\tclass_name: LearnerActor
\tactor_id: 0f1e2d3c
\tpid: 4711
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit \
detail: Worker unexpectedly exits with a connection error code 2. End of file."""
GUESSES = """ Some common causes include: (1) the process was killed by the OOM killer due to high \
memory usage, (2) ray stop --force was called, or (3) the worker crashed unexpectedly due to \
SIGSEGV or another unexpected error."""


def test_a_guess_of_rays_is_not_passed_on_as_the_cause() -> None:
    told = death_of(NOTICE + GUESSES).reason
    assert told.endswith("connection error code 2. End of file")
    assert "OOM" not in told


def test_memory_is_named_where_ray_killed_for_it() -> None:
    notice = "Workers (tasks / actors) killed due to memory pressure (OOM), 1 of them"
    expected = Loss(OutOfMemory, "out of memory (killed by Ray's memory monitor)")
    assert death_of(notice) == expected
    assert loss_of(OutOfMemoryError("x")) == death_of(notice)


def test_what_came_too_late_and_what_nobody_foresaw_is_said() -> None:
    late = loss_of(GetTimeoutError("Get timed out"))
    assert late == Loss(CollectiveTimeout, "no answer in time")
    assert loss_of(KeyError("x\ny")) == Loss(RetryableError, "KeyError: 'x\\ny'")


@pytest.mark.parametrize(
    ("text", "kills"),
    [
        ("low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n", 1),
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", 3),
        ("oom_kill_disable 1\nunder_oom 0\noom_kill 0\n", 0),
    ],
)
def test_the_kernels_count_is_read_in_both_formats(tmp_path: Path, text: str, kills: int) -> None:
    (tmp_path / "counter").write_text(text)
    assert count_memory_kills([tmp_path / "not-there", tmp_path / "counter"]) == kills


def test_without_a_count_nothing_is_claimed(tmp_path: Path) -> None:
    assert count_memory_kills([tmp_path / "not-there"]) == 0


def test_outside_a_pod_others_kills_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert probe_pod() == ("", 0)


def test_a_kill_is_told_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = tmp_path / "counter"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(loss, "MEMORY_COUNTERS", (counter,))
    monkeypatch.setattr(loss, "TOLD_OF", tmp_path / "told-of")
    told = []
    for total in (1, 1, 3):
        counter.write_text(f"oom 9\noom_kill {total}\n")
        told.append(probe_pod()[1])
    assert told == [1, 0, 2]


def test_the_pod_is_named_where_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    notice = f"{NOTICE}\n\tip: 10.0.0.7\n"
    answers = {"10.0.0.7": ("worker-a", 1)}
    monkeypatch.setattr(loss, "ask_pod", lambda address: answers[address])
    by_kernel = Loss(OutOfMemory, "out of memory (the kernel killed a process of pod worker-a)")
    assert death_of(notice) == by_kernel
    by_ray = death_of(f"{notice}\nkilled due to memory pressure (OOM)")
    expected = Loss(OutOfMemory, "out of memory (killed by Ray's memory monitor in pod worker-a)")
    assert by_ray == expected
    told = "Memory on the node (IP: 10.0.0.7, ID: 0f1e) was 1.90GB used / 2.00GB limit (0.95)"
    assert loss_of(OutOfMemoryError(told)) == expected
