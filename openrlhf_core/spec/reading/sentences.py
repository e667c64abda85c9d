"""Turns pydantic's errors into sentences: which field, what is wrong, how to fix it."""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from openrlhf_core.spec.kinds.kubernetes import (
    DNS_LABEL_PATTERN,
    DNS_NAME_PATTERN,
    JOB_NAME_PATTERN,
    LABEL_KEY_PATTERN,
    LABEL_VALUE_PATTERN,
)
from openrlhf_core.spec.kinds.rule import Violation
from openrlhf_core.spec.kinds.storage import SUB_PATH_PATTERN
from openrlhf_core.spec.reading.spec_tree import field_names, spec_class_at

Sentence = tuple[str, str]

KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "dict_type": "a map",
    "model_type": "a map",
    "tuple_type": "a list",
}
BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
MAX_LISTED = 16
FORMS = {
    JOB_NAME_PATTERN: "use lowercase letters, digits and -, beginning with a letter",
    DNS_LABEL_PATTERN: "use lowercase letters, digits and -",
    DNS_NAME_PATTERN: "use lowercase letters, digits, - and .",
    LABEL_KEY_PATTERN: "use letters, digits, -, _ and ., after at most one prefix/",
    LABEL_VALUE_PATTERN: "use letters, digits, -, _ and ., beginning and ending with none of the "
    "last three",
    SUB_PATH_PATTERN: "write a relative path without ..",
}
LENGTHS = {
    "too_short": ("min_length", "at least", "entries"),
    "too_long": ("max_length", "at most", "entries"),
    "string_too_short": ("min_length", "at least", "characters"),
    "string_too_long": ("max_length", "at most", "characters"),
}


def violation(error: ErrorDetails, root: type[BaseModel]) -> Violation | None:
    """The violation that one pydantic error is about; None where it only repeats another."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    if repeats_others(error):
        return None
    if error["type"] == "extra_forbidden":
        return Violation(path, *_unknown_field(path, root))
    tell = SENTENCES.get(error["type"], _other)
    return Violation(path, *tell(error))


def repeats_others(error: ErrorDetails) -> bool:
    """Whether an error only follows from others.

    A list with wrong entries is called too short as well, because those are not counted. A default
    that depends on the recipe is not made while another field is wrong.
    """
    if error["type"] == "default_factory_not_called":
        return True
    if error["type"] != "too_short":
        return False
    value = error["input"]
    return isinstance(value, Sequence) and len(value) >= error["ctx"]["min_length"]


def _unknown_field(path: tuple[str | int, ...], root: type[BaseModel]) -> Sentence:
    parent = spec_class_at(root, path[:-1])
    names = field_names(parent) if parent else []
    near = difflib.get_close_matches(str(path[-1]), names, n=1, cutoff=0.6)
    if not near:
        near = [name for name in names if name.lower() == str(path[-1]).lower().replace("_", "")]
    if near:
        return "is not a field here", f"did you mean {near[0]}?"
    return "is not a field here", f"remove it; the fields are {', '.join(names[:MAX_LISTED])}"


def _missing(error: ErrorDetails) -> Sentence:
    return "is missing", "add it"


def _wrong_kind(error: ErrorDetails) -> Sentence:
    wanted = KINDS[error["type"]]
    value = error["input"]
    message = f"is {describe(value)}, where {wanted} belongs"
    is_number = wanted in ("a whole number", "a number")
    if isinstance(value, str) and (is_number or wanted == "true or false"):
        return message, "remove the quotes" if _is_quoted(value, wanted) else f"write {wanted}"
    if wanted == "a text" and not isinstance(value, dict | list):
        return message, "put it in quotes"
    return message, f"write {wanted}"


def _is_quoted(text: str, wanted: str) -> bool:
    if wanted == "true or false":
        return text in ("true", "false")
    try:
        float(text)
    except ValueError:
        return False
    return True


def _not_a_choice(error: ErrorDetails) -> Sentence:
    choices = [
        part.strip("' ") for part in error["ctx"]["expected"].replace(" or ", ",").split(",")
    ]
    value = error["input"]
    near = [choice for choice in choices if choice.lower() == str(value).lower()]
    near = near or difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
    listed = f"use {choices[0]}" if len(choices) == 1 else f"use one of {', '.join(choices)}"
    return f"is {describe(value)}", f"did you mean {near[0]}?" if near else listed


def _out_of_bounds(error: ErrorDetails) -> Sentence:
    key, words = BOUNDS[error["type"]]
    bound = error["ctx"][key]
    bound = int(bound) if float(bound).is_integer() else bound
    return f"is {describe(error['input'])}", f"take a number of {words} {bound}"


def _wrong_length(error: ErrorDetails) -> Sentence:
    key, words, unit = LENGTHS[error["type"]]
    have = len(error["input"]) if hasattr(error["input"], "__len__") else "too many"
    if isinstance(error["input"], str) and not have:
        return "is empty", "write something"
    return f"has {have} {unit}", f"take {words} {error['ctx'][key]}"


def _wrong_form(error: ErrorDetails) -> Sentence:
    pattern = error["ctx"]["pattern"]
    return f"is {describe(error['input'])}", FORMS.get(pattern, f"write what matches {pattern}")


def _said_by_validator(error: ErrorDetails) -> Sentence:
    message, _, fix = str(error["ctx"]["error"]).partition("; ")
    return message, fix or "change it"


def _not_finite(error: ErrorDetails) -> Sentence:
    return f"is {describe(error['input'])}", "write a finite number"


def _other(error: ErrorDetails) -> Sentence:
    return f"is {describe(error['input'])}: {error['msg']}", "change it"


def describe(value: Any) -> str:
    """A short description of a value: the value if it is short, else its kind or beginning."""
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str) and value:
        try:
            float(value)
        except ValueError:
            pass
        else:
            return f"the text {json.dumps(value)}"
    text = json.dumps(value, ensure_ascii=not str(value).isprintable())
    return text if len(text) <= 60 else text[:57] + "..."


SENTENCES: dict[str, Callable[[ErrorDetails], Sentence]] = {
    "missing": _missing,
    "literal_error": _not_a_choice,
    "string_pattern_mismatch": _wrong_form,
    "value_error": _said_by_validator,
    "finite_number": _not_finite,
    **dict.fromkeys(KINDS, _wrong_kind),
    **dict.fromkeys(BOUNDS, _out_of_bounds),
    **dict.fromkeys(LENGTHS, _wrong_length),
}
