"""When a run is stopped because its numbers cannot be trusted."""

import pytest

from openrlhf_core.recipes.rl.guard import ScoreGuard, check_logprob_gap
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError


def test_a_gap_of_rounding_is_fine() -> None:
    check_logprob_gap(2e-6, "Float32", 3)
    check_logprob_gap(0.05, "BFloat16", 3)


@pytest.mark.parametrize(("gap", "dtype"), [(0.35, "Float32"), (0.93, "BFloat16")])
def test_a_gap_of_stale_weights_ends_the_run(gap: float, dtype: str) -> None:
    with pytest.raises(RetryableError, match="policy version 3"):
        check_logprob_gap(gap, dtype, 3)  # type: ignore[arg-type]


def test_three_steps_in_a_row_without_a_score_end_the_run_with_the_first_error() -> None:
    guard = ScoreGuard()
    guard.observe(0, "ZeroDivisionError: division by zero")
    guard.observe(0, "something later")
    with pytest.raises(ConfigurationError, match="ZeroDivisionError"):
        guard.observe(0, "something later still")


def test_one_scored_sample_starts_the_count_anew() -> None:
    guard = ScoreGuard()
    for _ in range(5):
        guard.observe(0, "first")
        guard.observe(0, "second")
        guard.observe(1, None)
