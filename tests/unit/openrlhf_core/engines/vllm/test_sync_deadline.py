import threading

import pytest

from openrlhf_core.engines.weight_sync.deadline import Deadline, call_within
from openrlhf_core.spec.exit_codes import RetryableError


def test_a_deadline_counts_down_and_never_reaches_zero() -> None:
    assert 9 < Deadline(10).remaining().total_seconds() <= 10
    assert 0 < Deadline(-5).remaining().total_seconds() < 0.01


def test_a_call_in_time_returns_its_value() -> None:
    assert call_within(10, "x", lambda: 3) == 3
    assert call_within(10, "x", lambda: None) is None


def test_an_error_of_the_call_is_the_callers() -> None:
    def fail() -> None:
        raise KeyError("inner")

    with pytest.raises(KeyError, match="inner"):
        call_within(10, "x", fail)


def test_a_call_that_hangs_ends_as_a_retryable_error_that_names_it() -> None:
    never = threading.Event()
    with pytest.raises(RetryableError, match=r"broadcast: no answer.*timeoutSeconds \(0.05 s\)"):
        call_within(0.05, "broadcast", never.wait)
    never.set()
