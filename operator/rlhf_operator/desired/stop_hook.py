"""The preStop hook: a pod that is deleted or evicted first lets the driver commit a checkpoint.

Deleting a pod signals the shell around `ray start`, never the driver, so without this hook an
eviction costs all work since the last checkpoint.
"""

from importlib.resources import files

from rlhf_operator import names
from rlhf_operator.desired.ray_types import Object

SCRIPT = files("rlhf_operator.desired").joinpath("stop_script.py").read_text(encoding="utf-8")

SPARE_SECONDS = 20
"""How much longer than the driver's grace a pod lives, for Ray's own shutdown."""


def lifecycle(grace_seconds: int, is_head: bool) -> Object:
    """The container's lifecycle. The head asks itself, a worker the head that KubeRay names."""
    host = ["127.0.0.1"] if is_head else []
    command = ["python", names.STOP_SCRIPT_PATH, str(grace_seconds), *host]
    return {"preStop": {"exec": {"command": command}}}


def termination_seconds(grace_seconds: int) -> int:
    """How long a pod may take to end."""
    return grace_seconds + SPARE_SECONDS
