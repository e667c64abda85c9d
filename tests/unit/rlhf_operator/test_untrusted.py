"""Values of others: the right parts are used, the wrong ones are left out and named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator.clients.progress import ReportedProgress
from rlhf_operator.untrusted import clean_text, fit, read_json, reason_word

CONDITION = {
    "type": "Running",
    "status": "True",
    "reason": "DriverRunning",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def test_a_field_that_is_wrong_is_left_out_alone() -> None:
    status, complaints = fit(RLHFJobStatus, {"restarts": -1, "preemptions": 2})
    assert status is not None
    assert (status.restarts, status.preemptions) == (0, 2)
    (complaint,) = complaints
    assert complaint.startswith("restarts is -1: ")


def test_entries_of_lists_and_maps_are_left_out_alone() -> None:
    bad = CONDITION | {"reason": "not a word"}
    data = {
        "conditions": [bad, CONDITION, {"type": "Running"}],
        "resolved": {"versions": {"ray": "2.60.0", "x" * 300: "1"}},
    }
    status, complaints = fit(RLHFJobStatus, data)
    assert status is not None
    assert [condition.reason for condition in status.conditions] == ["DriverRunning"]
    assert status.resolved is not None
    assert status.resolved.versions == {"ray": "2.60.0"}
    assert "conditions.0.reason" in complaints[0]


def test_what_is_left_without_a_needed_field_is_nothing() -> None:
    found, complaints = fit(ReportedProgress, {"step": 3})
    assert found is None
    assert "attempt is missing" in complaints


@pytest.mark.parametrize("data", [[], 3, "x", None, True])
def test_what_is_no_map_is_nothing(data: Any) -> None:
    assert fit(RLHFJobStatus, data)[0] is None


@given(
    st.dictionaries(st.sampled_from(["conditions", "attempt", "failures", "restarts"]), JSON)
    | st.dictionaries(st.sampled_from(["rayCluster", "groups", "progress", "resolved"]), JSON)
)
def test_no_status_is_too_odd_to_be_read(data: dict[str, Any]) -> None:
    status, complaints = fit(RLHFJobStatus, data)
    assert status is not None
    assert all(len(text) < 1000 and text == clean_text(text, 1000) for text in complaints)


def test_json_that_is_none_or_nested_for_ever_is_nothing() -> None:
    assert read_json(b"[" * 200_000 + b"]" * 200_000) is None
    assert read_json(b'{"a": ') is None
    assert read_json(b"\xff\xfe") is None
    assert read_json(b'{"a": [1]}') == {"a": [1]}


def test_text_loses_what_a_terminal_would_obey() -> None:
    assert clean_text("\x1b[2Jred\nnext\tx\x9b", 100) == "?[2Jred\nnext\tx?"
    assert clean_text("x" * 100, 10) == "x" * 10
    assert clean_text({"a": 1}, 100) == "{'a': 1}"
    json.dumps(clean_text("\ud800", 10)).encode()


def test_a_reason_is_a_word_or_another_word() -> None:
    assert reason_word("ErrImagePull", "Failed") == "ErrImagePull"
    for odd in ("", "two words", "x" * 200, None, "Ünicode"):
        assert reason_word(odd, "Failed") == "Failed"
