"""Values that are not ours: answers of training pods, and what a job's owner may edit.

A training pod runs the owner's code, and the owner may edit status, labels and children of the job.
So every such value is judged by a model where it enters and cut to a length. A part that is wrong
is left out and named in a complaint; the parts that are right are used.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from openrlhf_core.spec.kinds.base import without_nulls

M = TypeVar("M", bound=BaseModel)
Path = tuple[str | int, ...]

MAX_COMPLAINTS = 5
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters that a terminal or a JSON encoder may trip over; tabs and newlines are kept."""
WORD = re.compile(r"^[A-Za-z]([A-Za-z0-9_]{0,126}[A-Za-z0-9_])?$")
"""A reason, as conditions must have them."""


def clean_text(text: object, length: int) -> str:
    """The text without control characters, cut to a length."""
    return CONTROL.sub("?", str(text)[:length])


def reason_word(text: object, otherwise: str) -> str:
    """The text when it may be the reason of a condition, else another word."""
    word = text[:200] if isinstance(text, str) else ""
    return word if WORD.match(word) else otherwise


def read_json(body: bytes) -> Any:
    """What a JSON text says; None when it is none, or nested too deeply."""
    try:
        return from_json(body)
    except ValueError:
        return None


def fit(model: type[M], data: Any) -> tuple[M | None, tuple[str, ...]]:
    """The model of the parts of `data` that are right, and a complaint for each other part.

    None when what is left is no model. A null is an absent field. Entries of maps and lists are
    left out one by one.

    fit(Progress, {"step": -1, ...}) == (None, ("step is -1: Input should be greater ...",))
    """
    if not isinstance(data, Mapping):
        return None, (f"is {shown(data)}, where a map belongs",)
    text, complaints = json.dumps(without_nulls(data)), list[str]()
    for depth in (None, None, 1):
        found, wrong = _judged(model, text)
        if found is not None:
            return found, _first(complaints)
        complaints += [_complaint(one) for one in wrong]
        kept = json.loads(text)
        _leave_out(kept, [_path(one)[:depth] for one in wrong])
        text = json.dumps(kept)
    return _judged(model, text)[0], _first(complaints)


def _first(complaints: list[str]) -> tuple[str, ...]:
    """The first few, each once."""
    return tuple(dict.fromkeys(complaints))[:MAX_COMPLAINTS]


def _judged(model: type[M], text: str) -> tuple[M | None, list[ErrorDetails]]:
    try:
        found = model.model_validate_json(text, by_alias=True, by_name=False, extra="ignore")
    except ValidationError as error:
        return None, error.errors(include_url=False)
    return found, []


def shown(value: Any) -> str:
    """A value for a message: short, without control characters."""
    text = clean_text(json.dumps(value, default=str, ensure_ascii=False)[:200], 60)
    return text if len(text) < 60 else f"{text[:57]}..."


def _path(error: ErrorDetails) -> Path:
    """Where the part is that must be left out; a field that is missing makes its owner wrong."""
    parts = tuple(part for part in error["loc"] if part != "[key]")
    return parts[:-1] if error["type"] == "missing" else parts


def _complaint(error: ErrorDetails) -> str:
    where = clean_text(".".join(str(part) for part in error["loc"] if part != "[key]"), 100)
    if error["type"] == "missing":
        return f"{where} is missing"
    return f"{where} is {shown(error['input'])}: {clean_text(error['msg'], 200)}"


def _leave_out(data: Any, paths: list[Path]) -> None:
    """Removes the parts at the paths; entries of lists from the end, so that places stay."""
    for path in sorted(set(paths), key=lambda one: [str(part).zfill(9) for part in one])[::-1]:
        place = data
        for part in path[:-1]:
            place = _inside(place, part)
        if path and isinstance(place, dict):
            place.pop(path[-1], None)
        elif path and isinstance(place, list) and isinstance(path[-1], int):
            del place[path[-1] : path[-1] + 1]


def _inside(place: Any, part: str | int) -> Any:
    """One level deeper; None where the path leads nowhere, as into a union."""
    if isinstance(place, dict):
        return place.get(str(part))
    is_there = isinstance(place, list) and isinstance(part, int) and part < len(place)
    return place[part] if is_there and isinstance(part, int) else None
