"""What a learner's process starts from: configuration, environment, device, random state."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from openrlhf_core.engines.deepspeed.config import deepspeed_config
from openrlhf_core.engines.deepspeed.learner import files_of_rank
from openrlhf_core.engines.deepspeed.random_state import (
    load_random_state,
    save_random_state,
    seed_everything,
)
from openrlhf_core.engines.learner_environment import learner_environment
from openrlhf_core.engines.learner_settings import Hardware
from openrlhf_core.engines.process_group import take_device
from openrlhf_core.spec.exit_codes import ConfigurationError


def test_deepspeed_scales_no_loss_and_counts_no_micro_batches():
    config = deepspeed_config(2, "Float32", 1.0, 4, "CPU")
    assert config["gradient_accumulation_steps"] == 1
    assert config["train_batch_size"] == 4
    assert config["bf16"] == {"enabled": False}
    assert config["zero_optimization"] == {"stage": 2, "overlap_comm": False}


@pytest.mark.parametrize(
    ("stage", "dtype", "clip"),
    [(0, "Float32", 0.0), (0, "BFloat16", 0.5), (1, "Float32", 0.5), (3, "BFloat16", 0.5)],
)
def test_deepspeed_clips_wherever_it_reports_a_norm(stage, dtype, clip):
    assert deepspeed_config(stage, dtype, 0.5, 1, "CPU")["gradient_clipping"] == clip


def test_gradients_of_bfloat16_are_accumulated_in_float32_from_stage_two_on():
    assert "data_types" not in deepspeed_config(1, "BFloat16", 1.0, 1, "CPU")
    assert deepspeed_config(2, "BFloat16", 1.0, 1, "CUDA")["data_types"] == {
        "grad_accum_dtype": "fp32"
    }


def test_environment_names_accelerator_and_threads():
    environment = learner_environment(Hardware("CUDA", 4))
    assert environment["DS_ACCELERATOR"] == "cuda"
    assert environment["OMP_NUM_THREADS"] == "4"
    assert all(isinstance(value, str) for value in environment.values())


def test_cpu_device_takes_the_threads_it_is_given():
    before = torch.get_num_threads()
    assert take_device(Hardware("CPU", 1), 0) == torch.device("cpu")
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


def test_a_cuda_device_that_is_not_there_is_an_error_of_the_users():
    with pytest.raises(ConfigurationError, match="CUDA device 999 is wanted"):
        take_device(Hardware("CUDA", 1), 999)


def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_random_state_continues_every_generator(tmp_path):
    seed_everything(7)
    draw()
    save_random_state(tmp_path / "state.pt")
    expected = draw()
    seed_everything(0)
    load_random_state(tmp_path / "state.pt")
    assert draw() == expected


def test_equal_seeds_draw_equal_numbers():
    seed_everything(2**31 - 1)
    first = draw()
    seed_everything(2**31 - 1)
    assert draw() == first


def test_every_file_of_a_checkpoint_has_one_writer(tmp_path: Path) -> None:
    names = [
        "deepspeed/mp_rank_00_model_states.pt",
        "deepspeed/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt",
        "deepspeed/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt",
        "deepspeed/zero_pp_rank_12_mp_rank_00_model_states.pt",
        "learner.json",
        "random-0.pt",
        "random-1.pt",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    by_rank = [files_of_rank(tmp_path, rank) for rank in range(13)]
    assert sorted(str(path) for files in by_rank for path in files) == sorted(names)
    assert [str(path) for path in by_rank[1]] == [names[2], "random-1.pt"]
    assert [str(path) for path in by_rank[12]] == [names[3]]
