"""Curves and rows of metrics.jsonl."""

import io

import pytest
from rich.console import Console

from openrlhf_core.spec.exit_codes import ConfigurationError
from rlhf_operator.commands.history import rows_of
from rlhf_operator.commands.metrics import plot, print_plots

ROWS = [
    {"step": step, "time": 0.0, "metrics": {"reward/mean": step / 10, "kl/mean": 0.0}}
    for step in range(1, 11)
]


def test_a_plot_shows_the_axes_and_a_curve() -> None:
    text = plot(ROWS, "reward/mean", 40)
    assert "(reward/mean)" in text
    assert "(step)" in text
    assert any("⠀" < character <= "⣿" for character in text)


def test_a_flat_curve_and_a_single_point_are_plots_too() -> None:
    assert "(kl/mean)" in plot(ROWS, "kl/mean", 40)
    assert "(kl/mean)" in plot(ROWS[:1], "kl/mean", 40)


def test_an_unknown_metric_names_those_that_are_there() -> None:
    with pytest.raises(ConfigurationError, match="no row holds 'reward'; there are: kl/mean, rew"):
        plot(ROWS, "reward", 40)


def test_several_metrics_are_plotted_one_below_the_other() -> None:
    buffer = io.StringIO()
    print_plots(Console(file=buffer, width=80), ROWS, ["reward/mean", "kl/mean"])
    text = buffer.getvalue()
    assert text.index("(reward/mean)") < text.index("(kl/mean)")


def test_a_torn_last_line_is_passed_over() -> None:
    lines = ['{"step": 1, "time": 0, "metrics": {}}', '{"step": 2, "ti']
    assert [row["step"] for row in rows_of(lines, "first")] == [1]


def test_a_run_without_a_row_says_so() -> None:
    with pytest.raises(ConfigurationError, match="first has finished no step yet"):
        rows_of([], "first")
