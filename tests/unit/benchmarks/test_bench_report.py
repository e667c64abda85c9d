from collections.abc import Mapping
from typing import Any

import pytest

from bench_cases import CASES, GROUP_SIZE, NUM_PROMPTS, SAMPLES, Side
from bench_measure import Interval
from bench_report import Run, figures, padding_factor, summarize, trl_padding_factor
from bench_table import render

FORCED = CASES["B1-0.3M"]
SKEWED = CASES["B2-0.3M"]


def make_run(
    side: Side = "ours", steps: int = 2, length: int = 64, row: Mapping[str, float] | None = None
) -> Run:
    metrics = {"rollout/num_tokens": float(SAMPLES * length), "reward/mean": 0.5, **(row or {})}
    cpu = {"driver": 1.0, "engine": 3.0}
    rows = [metrics] * steps
    return Run(side, Interval(6.0, cpu, 1.5), rows, [[length] * SAMPLES] * steps)


def make_figures(side: str, cpu: float, tokens: int = 8192) -> dict[str, Any]:
    return {
        "side": side,
        "tokens": tokens,
        "cpu_seconds_per_step": cpu,
        "wall_seconds_per_step": cpu,
        "cpu_seconds_per_1000_tokens": cpu * 1000 / tokens,
        "load_average": 1.0,
        "padding_factor": 1.25,
        "wall_by_phase_per_step": {"time/rollout": 0.4, "time/train": 0.2},
        "cpu_by_process_per_step": {"engine": 0.4, "learner": 0.25},
    }


def test_both_designs_come_in_both_sizes():
    assert list(CASES) == ["B1-0.3M", "B1-3.6M", "B2-0.3M", "B2-3.6M"]
    assert NUM_PROMPTS * GROUP_SIZE == SAMPLES == 64


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_heads_are_large_enough_for_the_engine_and_passes_divide_the_step(case):
    assert case.model.hidden == case.model.heads * 32
    assert case.model.heads == 2 * case.model.key_value_heads
    assert SAMPLES % case.trl_micro_batch == 0
    assert case.own_micro_batch_tokens >= case.longest_sequence


def test_figures_are_a_step_and_a_thousand_tokens():
    # 4 CPU-s and 6 s of wall in 2 steps of 64 x 64 tokens: 4 / 8.192 CPU-s for 1,000.
    found = figures(make_run(row={"time/rollout": 0.25}))
    assert found["tokens"] == 8192
    assert found["cpu_seconds_per_step"] == 2.0
    assert found["wall_seconds_per_step"] == 3.0
    assert found["cpu_seconds_per_1000_tokens"] == pytest.approx(4 / 8.192)
    assert found["cpu_by_process_per_step"] == {"driver": 0.5, "engine": 1.5}
    assert found["wall_by_phase_per_step"] == {"time/rollout": 0.25}


def test_trl_tells_how_much_of_its_one_process_went_into_generation():
    # 4 CPU-s in 2 steps, 0.3 of each in generation; "driver" is the whole process, "engine" none.
    found = figures(make_run("trl", row={"cpu/rollout": 0.3}))
    assert found["cpu_by_process_per_step"]["generation"] == pytest.approx(0.3)
    assert found["cpu_by_process_per_step"]["driver"] == pytest.approx(0.2)


def test_a_run_whose_reports_agree_passes():
    make_run().check(FORCED)
    make_run("trl", length=100).check(SKEWED)


def test_other_tokens_than_the_reward_function_saw_are_refused():
    run = make_run(row={"rollout/num_tokens": 4095.0})
    with pytest.raises(ValueError, match=r"reports 4095 tokens.*64 completions with 4096"):
        run.check(FORCED)


def test_a_completion_of_another_length_is_refused_where_lengths_are_forced():
    with pytest.raises(ValueError, match="of 63 to 63 tokens where 64 are forced"):
        make_run("trl", length=63).check(FORCED)


def test_padding_is_what_is_computed_over_what_is_there():
    # A pass of lengths 4 and 2 computes 8 of 6 tokens, one of 1 computes 1: 9 of 7.
    assert padding_factor([[4, 2], [1]]) == pytest.approx(9 / 7)
    assert padding_factor([[5, 5, 5]]) == 1.0


def test_trl_pads_every_completion_of_a_step_to_the_longest():
    # With prompts of 16: rows of 16 + 48 twice, where 16 + 48 and 16 + 16 are there: 128 / 96.
    assert trl_padding_factor([48, 16]) == pytest.approx(128 / 96)
    assert trl_padding_factor([7, 7, 7]) == 1.0


def test_the_ratio_is_of_medians_over_the_rounds():
    runs = [make_figures("ours", cpu) for cpu in (0.5, 0.6, 9.0)]
    runs += [make_figures("trl", cpu) for cpu in (1.2, 1.0, 1.4)]
    found = summarize(FORCED, runs)
    assert found["trl_over_ours_cpu"] == pytest.approx(2.0)
    assert found["ratio_of"] == "cpu_seconds_per_step"
    assert found["sides"]["ours"]["cpu_seconds_per_step"] == 0.6


def test_forced_lengths_need_equal_tokens_on_both_sides():
    runs = [make_figures("ours", 1.0), make_figures("trl", 1.0, tokens=8000)]
    with pytest.raises(ValueError, match=r"B1-0\.3M: the sides made different numbers of tokens"):
        summarize(FORCED, runs)


def test_skewed_lengths_are_compared_by_the_token():
    # Equal CPU a step, but TRL made half of our tokens in it.
    found = summarize(SKEWED, [make_figures("ours", 1.0), make_figures("trl", 1.0, tokens=4096)])
    assert found["ratio_of"] == "cpu_seconds_per_1000_tokens"
    assert found["trl_over_ours_cpu"] == pytest.approx(2.0)


def test_the_table_shows_both_sides_the_ratio_and_where_our_time_goes():
    runs = [make_figures("ours", 0.5), make_figures("trl", 1.25)]
    document = {
        "machine": {"cores": 2, "processor": "some processor", "threads": 1},
        "versions": {"trl": "1.16.0", "torch": "2.13.0"},
        "cases": {"B1-0.3M": {"runs": runs, "summary": summarize(FORCED, runs)}},
    }
    text = render(document)
    assert "some processor, 2 cores, one thread a process; trl 1.16.0, torch 2.13.0" in text
    assert "| B1-0.3M | 0.500 | 1.250 | 0.0610 | 0.1526 | **2.50** | 0.500 / 1.250 |" in text
    assert "| generation | 0.4000 |" in text
    assert "| learner | 0.2500 |" in text
