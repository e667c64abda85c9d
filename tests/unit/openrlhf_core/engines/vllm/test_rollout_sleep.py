import pytest

from openrlhf_core.engines.vllm.sleep import RolloutSleep


def make_sleep() -> tuple[RolloutSleep, list[str]]:
    calls: list[str] = []
    return RolloutSleep(lambda: calls.append("discard"), calls.append), calls


def test_an_engine_that_never_slept_takes_nothing() -> None:
    turn, calls = make_sleep()
    turn.ready_to_generate()
    turn.wake()
    assert calls == []


def test_a_round_takes_the_weights_before_the_sync_and_the_cache_before_generating() -> None:
    turn, calls = make_sleep()
    for _ in range(2):
        calls.clear()
        turn.sleep()
        turn.wake()
        turn.weights_arrived()
        assert calls == ["discard", "weights"]
        turn.ready_to_generate()
        turn.ready_to_generate()
        assert calls == ["discard", "weights", "kv_cache"]


def test_sleeping_twice_discards_once() -> None:
    turn, calls = make_sleep()
    turn.sleep()
    turn.sleep()
    assert calls == ["discard"]


def test_waking_twice_takes_the_weights_once() -> None:
    turn, calls = make_sleep()
    turn.sleep()
    turn.wake()
    turn.wake()
    assert calls == ["discard", "weights"]


def test_an_engine_half_awake_is_whole_before_it_sleeps_again() -> None:
    turn, calls = make_sleep()
    turn.sleep()
    turn.wake()
    turn.sleep()
    assert calls == ["discard", "weights", "kv_cache", "discard"]


@pytest.mark.parametrize("woken", [False, True])
def test_generating_without_weights_is_refused(woken) -> None:
    turn, calls = make_sleep()
    turn.sleep()
    if woken:
        turn.wake()
    with pytest.raises(RuntimeError, match="before wake and receive_weights"):
        turn.ready_to_generate()
    assert "kv_cache" not in calls
