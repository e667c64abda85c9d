"""The environment of Ray and its workers: what is added, and what a launcher left there."""

import os

from openrlhf_core.ray_environment import forget_launcher, local_ray_environment

LAUNCHED = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "PMI_RANK": "3",
    "PMIX_RANK": "3",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "I_MPI_HYDRA_HOST_FILE": "hosts",
    "MPI_LOCALRANKID": "1",
    "TORCHELASTIC_RUN_ID": "x",
    "RANK": "3",
    "WORLD_SIZE": "8",
    "MASTER_ADDR": "node0",
    "MASTER_PORT": "29500",
}


def test_ranks_of_a_launcher_are_forgotten_and_nothing_else():
    ours = {"LOCAL_RANK": "0", "CUDA_VISIBLE_DEVICES": "2", "MY_RANK": "1", "RANKING": "x"}
    environ = LAUNCHED | ours
    forget_launcher(environ)
    assert environ == ours


def test_each_ray_has_a_token_of_its_own():
    first, second = (local_ray_environment({})["RAY_AUTH_TOKEN"] for _ in range(2))
    assert first != second


def test_workers_find_what_relative_entries_of_pythonpath_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = local_ray_environment({"PYTHONPATH": f"lib{os.pathsep}/opt/x{os.pathsep}"})["PYTHONPATH"]
    assert path == f"{tmp_path}/lib{os.pathsep}/opt/x"
    assert "PYTHONPATH" not in local_ray_environment({})
