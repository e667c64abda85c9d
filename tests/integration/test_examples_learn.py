"""Examples reach the figures that they state.

An example states them in its comments as `Starts at METRIC < NUMBER` and `reaches METRIC > NUMBER`
(or with the other sign). Both are about the mean over the first and the last ten steps that report
the metric. Examples that state nothing are not run here.
"""

import operator
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import run_lab

FIGURE = re.compile(r"\b(starts at|reaches) (\w+/\w+) ([<>]) (-?\d+(?:\.\d+)?)", re.IGNORECASE)
COMPARE = {"<": operator.lt, ">": operator.gt}
STEPS = 10


def figures(example: Path) -> list[tuple[str, ...]]:
    """(starts at or reaches, metric, sign, number) of each figure that an example states."""
    lines = example.read_text().splitlines()
    comments = " ".join(line.strip("# ") for line in lines if line.startswith("#"))
    return FIGURE.findall(comments)


LEARNING = [path for path in sorted(run_lab.EXAMPLES.glob("*.yaml")) if figures(path)]


def test_the_quickstart_states_figures() -> None:
    assert run_lab.QUICKSTART in LEARNING


@pytest.mark.parametrize("example", LEARNING, ids=lambda path: path.stem)
def test_an_example_reaches_what_it_states(
    trained: Callable[[Path], run_lab.Trained], example: Path
) -> None:
    curve = run_lab.curve(trained(example).output)
    for when, metric, sign, number in figures(example):
        values = [row[metric] for row in curve if metric in row]
        part = values[:STEPS] if when.lower() == "starts at" else values[-STEPS:]
        mean = sum(part) / len(part)
        assert COMPARE[sign](mean, float(number)), f"{when} {metric} {sign} {number}: {mean}"
