"""Environment variables of Ray and of the workers that it starts."""

import os
import re
import secrets
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import openrlhf_core

LAUNCHER_VARIABLE = re.compile(
    r"(OMPI|OPAL|ORTE|PRTE|PMI|PMIX|MPI|MV2|I_MPI|HYDRA|HYDI|PALS|ALPS|JSM|SLURM|FLUX|TORCHELASTIC)_"
    r"|(RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|GROUP_RANK|GROUP_WORLD_SIZE|ROLE_RANK|ROLE_WORLD_SIZE"
    r"|ROLE_NAME|MASTER_ADDR|MASTER_PORT)$"
)
"""By which mpirun, srun and torchrun tell a process its rank."""


def local_ray_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns what to add to `environ`, before Ray is imported, for a Ray of our own.

    A new token guards it and nothing is reported. Workers run in another directory, so that
    relative entries of PYTHONPATH become absolute.
    """
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
        **_search_path(environ.get("PYTHONPATH")),
    }


def forget_launcher(environ: MutableMapping[str, str]) -> None:
    """Removes the variables of a launcher that this program was started by.

    A worker's rank is ours to say: under mpirun, DeepSpeed would take it from these.
    """
    for name in [name for name in environ if LAUNCHER_VARIABLE.match(name)]:
        del environ[name]


def _search_path(python_path: str | None) -> dict[str, str]:
    entries = [os.path.abspath(entry) for entry in (python_path or "").split(os.pathsep) if entry]
    checkout = Path(openrlhf_core.__file__).parents[1]
    if checkout == Path.cwd():  # `python -m openrlhf_core` in a checkout that is not installed
        entries.append(str(checkout))
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(entries))} if entries else {}
