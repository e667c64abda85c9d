"""The real DeepSpeed learner over gloo, float32: what must not change the numbers, and what must.

One process of one rank, two of two ranks, and two fresh ones that resume what those saved.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from openrlhf_core.engines.learner_environment import learner_environment
from openrlhf_core.engines.learner_settings import Hardware

LAB = Path(__file__).with_name("learner_lab.py")
STAGES = (0, 1, 2, 3)
EVERY_STAGE_AND_FORMAT = [f"{s}-{d}" for s in STAGES for d in ("Float32", "BFloat16")]
CHECKPOINTS = [f"zero-{s}{suffix}" for s in STAGES for suffix in ("", "-bfloat16")]
SECONDS = 600
ENVIRONMENT = {
    **os.environ,
    **learner_environment(Hardware("CPU", threads=1)),
    "PYTHONPATH": os.pathsep.join([str(LAB.parents[1]), os.environ.get("PYTHONPATH", "")]),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_case(case: str, world_size: int, work: Path) -> list[dict[str, Any]]:
    """Results of every rank of one case; a rank's last lines when it failed."""
    port = str(free_port())
    command = [sys.executable, "-W", "ignore", str(LAB), case]
    logs = [work / f"{case}-{rank}.log" for rank in range(world_size)]
    processes = []
    for rank, log in enumerate(logs):
        with log.open("wb") as output:
            arguments = [*command, str(rank), str(world_size), port, str(work)]
            processes.append(
                subprocess.Popen(arguments, stdout=output, stderr=output, env=ENVIRONMENT)
            )
    try:
        codes = [process.wait(SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for code, log in zip(codes, logs, strict=True):
        assert code == 0, log.read_text()[-3000:]
    return [torch.load(work / f"{case}-{rank}.pt") for rank in range(world_size)]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    directory = tmp_path_factory.mktemp("learner")
    script = (
        f"import sys; sys.path.insert(0, {str(LAB.parent)!r}); import pathlib, learner_lab; "
        f"learner_lab.write_models(pathlib.Path({str(directory)!r}))"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], check=True, timeout=SECONDS, env=ENVIRONMENT
    )
    return directory


@pytest.fixture(scope="module")
def two(work):
    return run_case("two", 2, work)


@pytest.fixture(scope="module")
def resumed(two, work):
    return run_case("resumed", 2, work)


@pytest.fixture(scope="module")
def one(two, work):
    return run_case("one", 1, work)[0]


def assert_equal_steps(actual, expected, atol):
    for ours, theirs in zip(actual["metrics"], expected["metrics"], strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert value == pytest.approx(theirs[name], abs=1e-5), name
    for name, gradient in actual["gradients"].items():
        torch.testing.assert_close(gradient, expected["gradients"][name], atol=atol, rtol=1e-5)


@pytest.mark.parametrize("stage", STAGES)
def test_two_ranks_have_the_loss_and_gradients_of_one(one, two, stage):
    assert_equal_steps(two[0]["stages"][stage], one["stages"][stage], atol=1e-6)


@pytest.mark.parametrize("stage", STAGES)
def test_another_objective_trains_alike_on_one_rank_and_on_two(one, two, stage):
    """Three pairs on two ranks: one rank ends with an empty micro-batch."""
    assert_equal_steps(two[0]["pairs"][stage], one["pairs"][0], atol=1e-6)
    first, second = one["pairs"][stage]["metrics"]
    assert second["policy/loss"] < first["policy/loss"]
    assert set(first) == {
        "policy/loss",
        "policy/clip_ratio",
        "policy/grad_norm",
        "policy/learning_rate",
        "policy/skipped_updates",
    }


@pytest.mark.parametrize("stage", STAGES)
def test_both_ranks_report_the_same_metrics(two, stage):
    assert two[0]["stages"][stage]["metrics"] == two[1]["stages"][stage]["metrics"]


@pytest.mark.parametrize("ranks", ["one", "two"])
@pytest.mark.parametrize("stage", STAGES[1:])
def test_zero_stages_agree(request, ranks, stage):
    results = request.getfixturevalue(ranks)
    stages = (results if ranks == "one" else results[0])["stages"]
    assert_equal_steps(stages[stage], stages[0], atol=1e-6)


@pytest.mark.parametrize("stage", STAGES)
def test_weights_after_two_steps_agree_over_ranks_and_stages(one, two, stage):
    expected = one["stages"][0]["weights"]
    # Adam divides by the gradient's size: where that is rounding, so is the step's direction.
    is_firm = {
        name.removeprefix("model."): gradient.abs() > 1e-4
        for name, gradient in one["stages"][0]["gradients"].items()
    }
    for weights in (one["stages"][stage]["weights"], two[1]["stages"][stage]["weights"]):
        for name, weight in weights.items():
            firm = is_firm[name]
            torch.testing.assert_close(weight[firm], expected[name][firm], atol=2e-6, rtol=0)
    num_firm = sum(int(firm.sum()) for firm in is_firm.values())
    assert num_firm > 0.9 * sum(firm.numel() for firm in is_firm.values())


@pytest.mark.parametrize(
    "kind", ["one packed", "four", "sorted pairs", "packed pairs", "recomputed activations"]
)
def test_layout_of_micro_batches_changes_nothing(one, kind):
    assert_equal_steps(one["layouts"][kind], one["layouts"]["one padded"], atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        "qwen2-tied-2-Float32",
        "qwen2-untied-2-Float32",
        "llama-tied-2-Float32",
        "llama-untied-2-Float32",
        "llama-untied-3-Float32",
        *(f"qwen2-tied-{stage}-BFloat16" for stage in STAGES),
    ],
)
def test_every_layout_trains_and_exports_what_it_holds(one, model):
    result = one["models"][model]
    assert result["gain"] > 1.0, "tokens with positive advantage should have become likelier"
    assert result["export_equals"]
    assert result["names"]
    assert result["description_equals"]
    assert result["start_equals_reference"] < (1e-5 if "Float32" in model else 0.05)


def test_metrics_are_those_of_the_catalogue(one):
    first = one["stages"][0]["metrics"][0]
    assert set(first) == {
        "policy/loss",
        "policy/clip_ratio",
        "policy/approx_kl",
        "policy/grad_norm",
        "policy/learning_rate",
        "policy/skipped_updates",
        "entropy/mean",
        "kl/mean",
        "ratio/max",
        "rollout/logprob_gap",
        "rollout/logprob_gap_max",
    }
    assert first["ratio/max"] == 1.0
    assert first["policy/learning_rate"] == 1e-2


@pytest.mark.parametrize("kind", EVERY_STAGE_AND_FORMAT)
def test_a_step_that_is_not_finite_on_one_rank_is_skipped_on_all(two, kind):
    for rank in two:
        result = rank["guards"][kind]
        assert result["skipped"]["policy/skipped_updates"] == 1.0
        assert "policy/grad_norm" not in result["skipped"]
        assert result["is_unchanged"]
        assert result["recovered"]["policy/skipped_updates"] == 0.0
        assert result["recovered"]["policy/grad_norm"] > 0


@pytest.mark.parametrize("kind", EVERY_STAGE_AND_FORMAT)
def test_three_such_steps_in_a_row_end_the_run(two, kind):
    assert "3 optimizer steps in a row" in two[0]["guards"][kind]["error"]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_rank_that_is_asked_to_leave_takes_the_others_with_it(two, name):
    for rank in two:
        assert "was left between" in rank["abandons"][name]


@pytest.mark.parametrize("directory", ["checkpoints", "abandoned"])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_fresh_process_goes_on_bit_for_bit(two, resumed, directory, name):
    """From what was saved after two steps, and from what was saved in the midst of the third."""
    for before, after in zip(two, resumed, strict=True):
        expected, actual = before["saves"][name], after[directory][name]
        assert torch.equal(actual["drawn"], expected["drawn"])
        assert actual["metrics"] == expected["metrics"]
        for weight_name, weight in actual["weights"].items():
            assert torch.equal(weight, expected["weights"][weight_name]), weight_name


@pytest.mark.parametrize("kind", EVERY_STAGE_AND_FORMAT)
def test_sleep_and_wake_change_no_bit(two, kind):
    assert all(two[0]["sleeps"][kind].values())


def test_a_checkpoint_of_another_world_size_is_refused_with_the_fix(one):
    message = one["refusals"]["world size"]
    assert "written with world_size 2 and this run has 1; run with 2" in message
