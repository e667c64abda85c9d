"""summary.json and the page at the end of a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from openrlhf_core.spec.progress import CheckpointRecord
from openrlhf_core.telemetry.metrics_file import MetricRow
from openrlhf_core.telemetry.summary import (
    MetricSummary,
    Summary,
    moving_mean,
    render_summary,
    summarize_metrics,
    write_summary,
)


def make_rows(rewards: list[float]) -> list[MetricRow]:
    return [
        MetricRow(step, 1000.0 + step, {"reward/mean": reward})
        for step, reward in enumerate(rewards, start=1)
    ]


def make_summary(rows: list[MetricRow], **changes: Any) -> Summary:
    values: dict[str, Any] = {
        "status": "finished",
        "recipe": "RL",
        "steps": len(rows),
        "seconds": 61.2,
        "metrics": summarize_metrics(rows),
        "checkpoint": CheckpointRecord(step=80, path="checkpoints/step-00000080", time=1080.0),
        "model": "model",
    }
    return Summary(**(values | changes))


def test_first_last_and_best_are_of_the_steps_that_have_the_metric() -> None:
    rows = [
        MetricRow(1, 0.0, {"reward/mean": 0.2, "time/step_seconds": 3.0}),
        MetricRow(2, 0.0, {"reward/mean": 0.9, "time/step_seconds": 1.0, "kl/mean": 0.1}),
        MetricRow(3, 0.0, {"reward/mean": 0.7}),
    ]
    assert summarize_metrics(rows) == MetricSummary(
        first={"reward/mean": 0.2, "time/step_seconds": 3.0, "kl/mean": 0.1},
        last={"reward/mean": 0.7, "time/step_seconds": 1.0, "kl/mean": 0.1},
        best={"reward/mean": 0.9, "time/step_seconds": 1.0},
    )


def test_summary_json_has_the_promised_fields(tmp_path: Path) -> None:
    rows = make_rows([0.25, 0.5])
    write_summary(tmp_path, make_summary(rows, resumed_from_step=1))
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "status": "finished",
        "recipe": "RL",
        "steps": 2,
        "seconds": 61.2,
        "resumedFromStep": 1,
        "metrics": {
            "first": {"reward/mean": 0.25},
            "last": {"reward/mean": 0.5},
            "best": {"reward/mean": 0.5},
        },
        "checkpoint": {"step": 80, "path": "checkpoints/step-00000080", "time": 1080.0},
        "model": "model",
        "error": None,
    }


def test_the_page_names_the_model_the_checkpoint_and_the_course_of_the_reward() -> None:
    rows = make_rows([0.2] * 10 + [0.5] * 60 + [0.9] * 10)
    page = render_summary(make_summary(rows, resumed_from_step=40), rows, Path("/out"))
    assert "finished after step 80 in 1m01s, resumed from step 40" in page
    assert "reward      0.200 -> 0.900 (mean of the first and last 10 steps)" in page
    assert "model       /out/model" in page
    assert "checkpoint  /out/checkpoints/step-00000080" in page


def test_the_page_draws_the_reward_over_the_steps() -> None:
    page = render_summary(make_summary([]), make_rows([step / 80 for step in range(80)]), Path("."))
    plot = page.split("finished")[0]
    assert any("\u2800" < letter <= "\u28ff" for letter in plot)
    assert "(dots: steps; line: mean of 10 steps)" in plot
    assert max(map(len, plot.splitlines())) <= 80


@pytest.mark.parametrize("rewards", [[], [0.5]])
def test_too_few_steps_are_not_drawn(rewards: list[float]) -> None:
    rows = make_rows(rewards)
    page = render_summary(make_summary(rows, status="stopped", model=None), rows, Path("."))
    assert page.startswith(f"stopped after step {len(rewards)}")


@pytest.mark.parametrize("rewards", [[0.5, 0.5, 0.5], [-1e9, 1e9, 0.0], [1e-9, 2e-9]])
def test_flat_and_extreme_rewards_are_drawn(rewards: list[float]) -> None:
    rows = make_rows(rewards)
    assert "reward/mean" in render_summary(make_summary(rows), rows, Path("."))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no-such-encoding"])
def test_a_terminal_without_braille_gets_the_page_without_the_plot(encoding: str) -> None:
    rows = make_rows([0.1, 0.2, 0.3])
    page = render_summary(make_summary(rows), rows, Path("/out"), encoding)
    assert page.isascii()
    assert "reward      0.100 -> 0.300" in page


def test_a_failed_run_says_why() -> None:
    failed = make_summary([], status="failed", error="the disk is full", model=None)
    page = render_summary(failed, [], Path("/out"))
    assert page.startswith("failed after step 0 in 1m01s: the disk is full")


def test_the_moving_mean_looks_back_over_its_window() -> None:
    # (1), (1+3)/2, (3+5)/2, (5+9)/2
    assert moving_mean([1.0, 3.0, 5.0, 9.0], window=2) == [1.0, 2.0, 4.0, 7.0]
