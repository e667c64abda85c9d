import pytest

from bench_bound import least_operations, least_seconds, matrix_weights, multiplication_rate
from bench_cases import MODELS, ModelShape
from bench_table import bound

SMALL = ModelShape("small", 64, 1)
CASE = {
    "settings": {"model": {"name": "small", "hidden": 64, "layers": 1}},
    "runs": [
        {"side": "ours", "tokens": 8192, "steps": 2},
        {
            "side": "trl",
            "tokens": 8192,
            "steps": 2,
            "cpu_by_process_per_step": {"driver": 4.0, "generation": 6.0},
        },
    ],
    "summary": {
        "sides": {"ours": {"cpu_seconds_per_step": 5.0}, "trl": {"cpu_seconds_per_step": 10.0}}
    },
}


def test_weights_that_multiply_are_nearly_all_of_a_model():
    # 64 wide, 2 heads, 1 of keys and values: q, o 64 x 64; k, v 64 x 32; 3 of 64 x 128; 128 x 64.
    assert matrix_weights(SMALL) == 2 * 4096 + 2 * 2048 + 3 * 8192 + 8192
    for shape, parameters in zip(MODELS, (312_448, 3_578_112), strict=True):
        assert 0.98 < matrix_weights(shape) / parameters < 1


def test_a_step_reads_each_prompt_once_and_learns_it_with_each_completion():
    # 4,096 tokens: 8 prompts of 16 are generated from, 64 of them learned with.
    weights = matrix_weights(SMALL)
    generation, update = least_operations(SMALL, 4096)
    assert generation == 2 * weights * (4096 + 128)
    assert update == 6 * weights * (4096 + 1024)


def test_the_least_time_is_operations_over_their_rate():
    generation, update = least_seconds(CASE, rate=1e9)
    assert generation == pytest.approx(2 * 45056 * 4224 / 1e9)
    assert update == pytest.approx(6 * 45056 * 5120 / 1e9)


def test_the_rate_is_one_that_a_processor_reaches():
    assert 1e9 < multiplication_rate() < 1e12


def test_the_table_holds_both_sides_against_the_least():
    # 0.3806 + 1.3841 s at 1 GFLOP/s: ours takes 5 s, TRL 10 s.
    text = bound({"B1-small": CASE}, rate=1e9)
    assert "At 1 GFLOP/s" in text
    assert "| B1-small | 0.381 | 1.384 | 2.8 | 5.7 | 6.000 | 4.000 |" in text
