"""One call of a reward function: which arguments it gets, and what counts as an answer."""

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openrlhf_core.rewards.load import RewardFunction, describe_error

LARGEST_SCORE = 3.0e38
"""Scores become float32."""


@dataclass(frozen=True)
class RewardRequest:
    """Completions to score together. Made by the driver, read by a reward worker.

    All lists are of one length. About two times the text of its completions.
    """

    queries: list[str]
    """Prompt and completion as text, special tokens included."""
    prompts: list[str]
    labels: list[Any]
    columns: Mapping[str, list[Any]] = field(default_factory=dict)
    """Further columns of the dataset; None where a row has no such column."""


@dataclass(frozen=True)
class RewardAnswer:
    """What came of a RewardRequest: scores, or why there are none. 8 bytes a completion."""

    scores: list[float] | None
    error: str | None = None


class RewardCallError(Exception):
    """A call gave no usable scores; the message says why, with the user's line if there is one."""


def answer(function: RewardFunction, request: RewardRequest) -> RewardAnswer:
    """The scores of a request, or the reason for having none. Never raises but for an interrupt."""
    try:
        return RewardAnswer(score(function, request))
    except RewardCallError as error:
        return RewardAnswer(None, str(error))


def score(function: RewardFunction, request: RewardRequest) -> list[float]:
    """Finite scores, one a query. RewardCallError when the function fails or answers otherwise."""
    columns = _accepted(function, request.columns)
    try:
        result = function(request.queries, request.prompts, request.labels, **columns)
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
        return checked_scores(result, len(request.queries))
    except RewardCallError:
        raise
    except (Exception, SystemExit) as error:
        raise RewardCallError(describe_error(error)) from error


def checked_scores(result: Any, count: int) -> list[float]:
    """A list, tuple, array or tensor of `count` finite numbers as floats.

    RewardCallError for anything else. True and False count as 1 and 0.
    """
    values = result.tolist() if hasattr(result, "tolist") else result
    if not isinstance(values, list | tuple):
        kind = "None" if result is None else f"a {type(result).__name__}"
        raise RewardCallError(f"it returned {kind}, not a list, array or tensor of numbers")
    if len(values) != count:
        raise RewardCallError(f"it returned {len(values)} scores for {count} queries")
    return [_checked_score(value, index) for index, value in enumerate(values)]


def _checked_score(value: Any, index: int) -> float:
    number = _plain(value)
    if not isinstance(number, int | float):
        raise RewardCallError(f"score {index} is {_shown(value)}, not a number")
    if not -LARGEST_SCORE <= number <= LARGEST_SCORE:  # a NaN is not, either
        raise RewardCallError(f"score {index} is {_shown(value)}, not a finite number")
    return float(number)


def _plain(value: Any) -> Any:
    """A scalar of NumPy or torch as a Python number; anything else as it is."""
    try:
        return value.item() if hasattr(value, "item") else value
    except (ValueError, RuntimeError, TypeError):
        return value


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # a user's __repr__, or an integer too long to print
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _accepted(function: RewardFunction, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The columns that the function has parameters for behind the first three; all for **."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    positional = [p for p in parameters if p.kind in (named[0], inspect.Parameter.POSITIONAL_ONLY)]
    taken = {parameter.name for parameter in positional[:3]}
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return {name: column for name, column in columns.items() if name not in taken}
    wanted = {parameter.name for parameter in parameters if parameter.kind in named} - taken
    return {name: column for name, column in columns.items() if name in wanted}


async def _awaited(result: Any) -> Any:
    return await result
