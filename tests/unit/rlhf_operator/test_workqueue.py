"""Workers: one a job, coalescing, bounded."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from rlhf_operator.cache import JobKey
from rlhf_operator.slots import Slot
from rlhf_operator.workqueue import Gone, WorkQueue, backoff

A, B = JobKey("team-a", "a"), JobKey("team-a", "b")


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_wakes_during_a_pass_make_one_more_pass() -> None:
    async def inside() -> None:
        passes: list[JobKey] = []
        gate = asyncio.Event()

        async def reconcile(key: JobKey, slot: Slot) -> None:
            passes.append(key)
            await gate.wait()

        queue = WorkQueue(reconcile, concurrency=4, resync_seconds=60)
        queue.open()
        for _ in range(5):
            queue.wake(A)
            await settle()
        assert passes == [A]
        gate.set()
        await settle()
        assert passes == [A, A]
        await queue.close(1)

    run(inside)


def test_passes_of_different_jobs_run_side_by_side_within_the_bound() -> None:
    async def inside() -> None:
        busy, most = 0, 0

        async def reconcile(key: JobKey, slot: Slot) -> None:
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.01)
            busy -= 1

        queue = WorkQueue(reconcile, concurrency=2, resync_seconds=60)
        queue.open()
        for number in range(6):
            queue.wake(JobKey("team-a", str(number)))
        await asyncio.sleep(0.2)
        assert most == 2
        await queue.close(1)

    run(inside)


def test_nothing_runs_before_the_queue_is_open_and_nothing_is_forgotten() -> None:
    async def inside() -> None:
        passes: list[JobKey] = []

        async def reconcile(key: JobKey, slot: Slot) -> None:
            passes.append(key)

        queue = WorkQueue(reconcile, concurrency=2, resync_seconds=60)
        queue.wake(A)
        queue.wake(B)
        await settle()
        assert passes == []
        assert queue.depth == 2
        queue.open()
        await settle()
        assert sorted(passes) == [A, B]
        await queue.close(1)

    run(inside)


def test_a_job_is_looked_at_again_after_the_delay_it_asks_for() -> None:
    async def inside() -> None:
        passes: list[JobKey] = []

        async def reconcile(key: JobKey, slot: Slot) -> float:
            passes.append(key)
            return 0.01

        queue = WorkQueue(reconcile, concurrency=2, resync_seconds=60)
        queue.open()
        queue.wake(A)
        await asyncio.sleep(0.3)
        assert len(passes) > 3
        await queue.close(1)

    run(inside)


def test_a_worker_ends_with_its_job_and_begins_again_with_a_new_one() -> None:
    async def inside() -> None:
        passes: list[JobKey] = []

        async def reconcile(key: JobKey, slot: Slot) -> float | None:
            passes.append(key)
            raise Gone(key)

        queue = WorkQueue(reconcile, concurrency=2, resync_seconds=0.01)
        queue.open()
        queue.wake(A)
        await asyncio.sleep(0.1)
        assert passes == [A]
        queue.wake(A)
        await settle()
        assert passes == [A, A]
        await queue.close(1)

    run(inside)


def test_a_pass_that_fails_is_tried_again_and_harms_no_other_job(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def inside() -> None:
        passes: list[JobKey] = []

        async def reconcile(key: JobKey, slot: Slot) -> None:
            passes.append(key)
            if key == A:
                raise RuntimeError("poison")

        queue = WorkQueue(reconcile, concurrency=2, resync_seconds=60)
        queue.open()
        queue.wake(A)
        queue.wake(B)
        await asyncio.sleep(1.6)
        assert passes.count(A) == 2
        assert passes.count(B) == 1
        await queue.close(1)

    run(inside)
    assert "pass failed job=team-a/a" in caplog.text


def test_closing_lets_a_pass_under_way_end() -> None:
    async def inside() -> None:
        done: list[JobKey] = []

        async def reconcile(key: JobKey, slot: Slot) -> None:
            await asyncio.sleep(0.05)
            done.append(key)

        queue = WorkQueue(reconcile, concurrency=2, resync_seconds=60)
        queue.open()
        queue.wake(A)
        await settle()
        assert queue.longest_pass >= 0
        await queue.close(5)
        assert done == [A]

    run(inside)


def test_backoff_doubles_up_to_five_minutes() -> None:
    for failures, delay in ((1, 1.0), (2, 2.0), (5, 16.0), (30, 300.0)):
        assert 0.8 * delay <= backoff(failures) <= 1.2 * delay
