"""One call of a reward function: its arguments, its answer, everything else is a failed call."""

import asyncio
import math
from typing import Any

import numpy as np
import pytest
import torch

from openrlhf_core.rewards.call import RewardRequest, answer, checked_scores

REQUEST = RewardRequest(
    queries=["p1 a", "p2 b"],
    prompts=["p1 ", "p2 "],
    labels=["1", 2],
    columns={"level": [3, None], "source": ["x", "y"], "labels": ["not", "these"]},
)


def scores_of(function) -> list[float] | None:
    return answer(function, REQUEST).scores


def test_the_three_lists_come_in_their_order():
    seen: list[Any] = []

    def reward_func(queries, prompts, labels):
        seen.extend([queries, prompts, labels])
        return [0.5, 1]

    assert scores_of(reward_func) == [0.5, 1.0]
    assert seen == [["p1 a", "p2 b"], ["p1 ", "p2 "], ["1", 2]]


def test_names_of_the_three_parameters_are_free():
    assert scores_of(lambda a, level, c: [len(a), len(level)]) == [2.0, 2.0]


def test_columns_come_only_to_a_function_that_accepts_them():
    def by_name(queries, prompts, labels, level, missing=5):
        return [level[0], missing]

    def by_keyword(queries, prompts, labels, *, source):
        return [float(name == "y") for name in source]

    def all_of_them(queries, prompts, labels, **columns):
        return [len(columns), "labels" in columns]

    assert scores_of(by_name) == [3.0, 5.0]
    assert scores_of(by_keyword) == [0.0, 1.0]
    assert scores_of(all_of_them) == [2.0, 0.0]


def test_a_column_that_the_data_lack_is_a_failed_call():
    def reward_func(queries, prompts, labels, difficulty):
        return [0, 0]

    assert "missing 1 required positional argument: 'difficulty'" in (
        answer(reward_func, REQUEST).error or ""
    )


def test_an_async_function_is_awaited():
    async def reward_func(queries, prompts, labels):
        await asyncio.sleep(0)
        return [1.0, 2.0]

    assert scores_of(reward_func) == [1.0, 2.0]


@pytest.mark.parametrize(
    "result",
    [
        [1, 0.5],
        (1, 0.5),
        [True, 0.5],
        np.array([1, 0.5]),
        np.array([1, 0.5], dtype=np.float32),
        [np.float64(1), np.float32(0.5)],
        torch.tensor([1, 0.5]),
        torch.tensor([1, 0.5], dtype=torch.bfloat16, requires_grad=True),
        [torch.tensor(1), torch.tensor(0.5)],
    ],
)
def test_lists_arrays_and_tensors_are_scores(result: Any):
    assert checked_scores(result, 2) == [1.0, 0.5]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "it returned None, not a list"),
        (1.0, "it returned a float"),
        ("12", "it returned a str"),
        ({"a": 1, "b": 2}, "it returned a dict"),
        ((x for x in [1, 2]), "it returned a generator"),
        ([1], "1 scores for 2 queries"),
        ([1, 2, 3], "3 scores for 2 queries"),
        (np.zeros((0,)), "0 scores for 2 queries"),
        (torch.tensor(1.0), "it returned a Tensor"),
        ([1, math.nan], "score 1 is nan, not a finite"),
        ([math.inf, 1], "score 0 is inf, not a finite"),
        ([10**400, 1], "not a finite"),
        ([10**9999, 1], "score 0 is a int, not a finite"),
        ([1, None], "score 1 is None, not a number"),
        (["1", 1], "score 0 is '1', not a number"),
        ([[1], [2]], "score 0 is [1], not a number"),
        (torch.zeros(2, 1), "score 0 is [0.0], not a number"),
        ([np.zeros(2), 1], "score 0 is array([0., 0.]), not a number"),
        ([1 + 1j, 1], "score 0 is (1+1j), not a number"),
        (np.array(["a", "b"]), "score 0 is 'a', not a number"),
        ([3.5e38, 1], "not a finite"),
    ],
)
def test_any_other_answer_is_a_failed_call(result: Any, words: str):
    failed = answer(lambda *_: result, REQUEST)
    assert failed.scores is None
    assert words in (failed.error or "")


def test_a_function_that_raises_names_its_line():
    def reward_func(queries, prompts, labels):
        return [1 / 0]

    failed = answer(reward_func, REQUEST)
    line = reward_func.__code__.co_firstlineno + 1
    assert failed.error == f"{__file__}:{line}: ZeroDivisionError: division by zero"


def test_a_function_that_exits_python_is_a_failed_call():
    def reward_func(queries, prompts, labels):
        raise SystemExit(3)

    assert "SystemExit: 3" in (answer(reward_func, REQUEST).error or "")


def test_a_function_that_never_ends_its_recursion_is_a_failed_call():
    def reward_func(queries, prompts, labels):
        return reward_func(queries, prompts, labels)

    assert "RecursionError" in (answer(reward_func, REQUEST).error or "")
