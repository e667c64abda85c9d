"""Plain lines and the figures in them."""

import io
from typing import Any

import pytest

from openrlhf_core.spec.progress import Phase, Progress
from openrlhf_core.telemetry.display import (
    BarDisplay,
    PlainDisplay,
    open_display,
    short_duration,
    short_number,
    step_line,
)


def make_progress(step: int = 12, **changes: Any) -> Progress:
    values: dict[str, Any] = {
        "attempt": 1,
        "phase": "rollout",
        "step": step,
        "total_steps": 80,
        "tokens_per_second": 11_240.0,
        "estimated_remaining_seconds": 14.2,
        "last_update_time": 1000.0,
        "metrics": {"reward/mean": 0.4312, "kl/mean": 0.0119, "time/step_seconds": 0.4},
        "versions": {},
    }
    return Progress(**(values | changes))


def test_a_step_is_one_line_with_the_figures_people_watch() -> None:
    assert step_line(make_progress()) == "step 12/80 reward 0.43 kl 0.012 11.2k tok/s ETA 14s"


def test_what_is_not_known_is_left_out() -> None:
    bare = make_progress(metrics={}, tokens_per_second=None, estimated_remaining_seconds=None)
    assert step_line(bare) == "step 12/80"


def test_plain_lines_say_each_step_once() -> None:
    stream = io.StringIO()
    display = open_display(stream)
    assert isinstance(display, PlainDisplay)
    display.wait_for("starting Ray")
    display.note("resumes from step 11")
    phases: list[Phase] = ["starting", "rollout", "train", "weight_sync"]
    for phase in phases:
        display.show(make_progress(11, phase=phase, resumed_from_step=11, metrics={}))
    for phase in phases:
        display.show(make_progress(12, phase=phase, resumed_from_step=11))
    display.close()
    assert stream.getvalue().splitlines() == [
        "starting Ray …",
        "resumes from step 11",
        "step 12/80 generating …",
        "step 12/80 training …",
        "step 12/80 reward 0.43 kl 0.012 11.2k tok/s ETA 14s",
    ]


def test_plain_lines_say_the_long_phases_of_slow_steps() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    for seconds in (9.0, 11.0):
        display.show(make_progress(0, phase="train", metrics={"time/step_seconds": seconds}))
    assert stream.getvalue() == "step 1/80 training …\n"


def test_plain_lines_say_how_far_long_work_is_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display.count("reading the data: sums", 4096, 50_000)
    monkeypatch.setattr("openrlhf_core.telemetry.display.QUIET_SECONDS", 0.0)
    display.count("reading the data: sums", 8192, 50_000)
    assert stream.getvalue() == "reading the data: sums 8,192/50,000 …\n"


def test_the_bar_counts_while_it_waits() -> None:
    terminal = FakeTerminal()
    bar = BarDisplay(terminal)
    bar.count("reading the data: sums", 8192, 50_000)
    bar.close()
    assert "reading the data: sums" in terminal.getvalue()
    assert "8,192/50,000" in terminal.getvalue()


class FakeTerminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_only_a_capable_terminal_gets_a_bar() -> None:
    bar = open_display(FakeTerminal(), is_dumb=False)
    assert isinstance(bar, BarDisplay)
    bar.close()
    assert isinstance(open_display(FakeTerminal(), is_dumb=True), PlainDisplay)
    assert isinstance(open_display(io.StringIO(), is_dumb=False), PlainDisplay)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0s"), (59.4, "59s"), (59.6, "1m00s"), (3599.7, "1h00m"), (90_061, "25h01m")],
)
def test_durations_show_two_units(seconds: float, text: str) -> None:
    assert short_duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (950, "950"), (11_240, "11.2k"), (3.4e6, "3.4M"), (2e9, "2.0G")]
)
def test_large_numbers_are_short(value: float, text: str) -> None:
    assert short_number(value) == text
