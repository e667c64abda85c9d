"""The request to stop: first reason wins, the grace period counts down, signals set it."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from openrlhf_core.spec.exit_codes import StopRequested
from openrlhf_core.stop import StopFlag


class Clock:
    """Time that moves only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_stops_before_a_request() -> None:
    flag = StopFlag(10.0, Clock())
    flag.check()
    flag.check_grace()
    assert not flag.is_requested
    assert flag.remaining_seconds == float("inf")


def test_a_request_stops_waits_at_once_and_work_after_the_grace_period() -> None:
    clock = Clock()
    flag = StopFlag(10.0, clock)
    flag.request("SIGTERM")
    with pytest.raises(StopRequested, match="SIGTERM"):
        flag.check()
    clock.now += 9.0
    flag.check_grace()
    assert flag.remaining_seconds == 1.0
    clock.now += 1.0
    with pytest.raises(StopRequested, match="grace period is over"):
        flag.check_grace()


def test_a_later_request_extends_nothing() -> None:
    clock = Clock()
    flag = StopFlag(10.0, clock)
    flag.request("first")
    clock.now += 8.0
    flag.request("second")
    assert flag.remaining_seconds == 2.0
    with pytest.raises(StopRequested, match="first"):
        flag.check()


PROGRAM = textwrap.dedent("""
    import time
    from openrlhf_core.spec.exit_codes import StopRequested
    from openrlhf_core.stop import StopFlag, stop_on_signals
    flag = StopFlag(60.0)
    stop_on_signals(flag, lambda: print("ending children", flush=True))
    print("ready", flush=True)
    while not flag.is_requested:
        time.sleep(0.01)
    try:
        flag.check()
    except StopRequested as error:
        reason = str(error).partition("(")[2].partition(")")[0].partition(";")[0]
    print("requested by", reason, flush=True)
    time.sleep(30)
""")


def start(*prefix: str) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-c", PROGRAM]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_is_a_request(number: signal.Signals) -> None:
    with start() as process:
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.readline() == f"requested by {number.name}\n"
        os.kill(process.pid, signal.SIGKILL)


def test_nohup_is_respected() -> None:
    with start("nohup") as process:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        process.send_signal(signal.SIGUSR1)
        assert process.stdout is not None
        assert process.stdout.readline() == "requested by SIGUSR1\n"
        os.kill(process.pid, signal.SIGKILL)


def test_a_second_interrupt_ends_children_and_exits_130() -> None:
    with start() as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "requested by SIGINT\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "ending children\n"
        assert process.wait(timeout=10) == 130
