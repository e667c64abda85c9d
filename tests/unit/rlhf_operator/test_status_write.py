"""Merge patches: the least that turns one status into another."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rlhf_operator.status_write import merge_diff

SCALARS = st.integers(0, 3) | st.text("ab", max_size=2) | st.booleans()
OBJECTS = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner),
        max_leaves=6,
    ),
    max_size=3,
)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, as the API server does it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(OBJECTS, OBJECTS)
def test_the_patch_turns_the_old_into_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merged(old, merge_diff(old, new)) == new


@given(OBJECTS)
def test_equal_statuses_need_no_patch(status: dict[str, Any]) -> None:
    assert merge_diff(status, json.loads(json.dumps(status))) == {}


def test_what_is_gone_becomes_null() -> None:
    old, new = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 2}}
    assert merge_diff(old, new) == {"a": None, "b": {"d": None}}
