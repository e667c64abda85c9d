"""The board: what it says after each event, from any thread, at what cost."""

import threading
import time

from openrlhf_core.spec.progress import CheckpointRecord, Progress
from openrlhf_core.telemetry.progress import ProgressBoard


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


RECORD = CheckpointRecord(step=40, path="checkpoints/step-00000040", time=900.0)


def make_board(clock: Clock | None = None, resumed: bool = False) -> ProgressBoard:
    return ProgressBoard(
        attempt=2,
        total_steps=80,
        versions={"torch": "2.13.0"},
        resumed_from=RECORD if resumed else None,
        checkpoint_count=1 if resumed else 0,
        clock=clock or Clock(),
    )


def test_a_new_board_stands_before_the_first_step() -> None:
    assert make_board().snapshot() == Progress(
        attempt=2,
        phase="starting",
        step=0,
        total_steps=80,
        last_update_time=1000.0,
        metrics={},
        versions={"torch": "2.13.0"},
    )


def test_a_resumed_board_stands_at_its_checkpoint() -> None:
    shown = make_board(resumed=True).snapshot()
    assert (shown.step, shown.resumed_from_step) == (40, 40)
    assert (shown.checkpoint, shown.checkpoint_count) == (RECORD, 1)


def test_speeds_are_those_of_the_last_step() -> None:
    board = make_board()
    board.finish_step(
        1, {"rollout/num_samples": 128, "rollout/num_tokens": 640, "time/step_seconds": 0.5}
    )
    shown = board.snapshot()
    assert (shown.samples_per_second, shown.tokens_per_second) == (256.0, 1280.0)
    board.finish_step(2, {})
    assert board.snapshot().tokens_per_second is None


def test_the_time_left_follows_the_recent_pace() -> None:
    clock = Clock()
    board = make_board(clock, resumed=True)
    clock.now += 30.0  # the setup does not count
    board.enter("rollout")
    clock.now += 2.0
    board.finish_step(41, {})
    # 39 steps are left at 2 s each
    assert board.snapshot().estimated_remaining_seconds == 78.0
    for step in range(42, 62):
        clock.now += 1.0
        board.finish_step(step, {})
    # 80 - 61 = 19 steps at the 1 s of the last ten
    assert board.snapshot().estimated_remaining_seconds == 19.0


def test_a_metric_without_samples_keeps_its_value() -> None:
    board = make_board()
    board.finish_step(1, {"reward/mean": 0.5, "kl/mean": 0.1})
    board.finish_step(2, {"reward/mean": 0.6})
    assert board.snapshot().metrics == {"reward/mean": 0.6, "kl/mean": 0.1}


def test_phases_and_commits_show_and_move_the_clock() -> None:
    clock = Clock()
    board = make_board(clock)
    clock.now = 1007.0
    board.enter("checkpoint")
    board.commit(RECORD, 3)
    shown = board.snapshot()
    assert (shown.phase, shown.last_update_time) == ("checkpoint", 1007.0)
    assert (shown.checkpoint, shown.checkpoint_count) == (RECORD, 3)


def test_a_snapshot_taken_before_does_not_change() -> None:
    board = make_board()
    before = board.snapshot()
    board.finish_step(1, {"reward/mean": 0.5})
    assert (before.step, before.metrics) == (0, {})


def test_readers_never_see_half_an_event() -> None:
    board = make_board()
    torn: list[Progress] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            shown = board.snapshot()
            if shown.metrics.get("policy/loss", 0.0) != shown.step:
                torn.append(shown)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for step in range(1, 500):
        board.finish_step(step, {"policy/loss": float(step)})
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []


def test_an_event_costs_less_than_a_tenth_of_a_millisecond() -> None:
    board = make_board()
    metrics = {f"reward_function/f{number}": 1.0 for number in range(40)}
    begin = time.process_time()
    for step in range(1, 501):
        board.enter("train")
        board.finish_step(step, metrics)
    assert (time.process_time() - begin) / 1000 < 1e-4
