"""`rlhf run`: trains an RLHFJob manifest without Kubernetes, on a Ray of its own or one named."""

import os
import sys
from functools import partial
from pathlib import Path

from openrlhf_core.garbage_collection import collector_paused
from openrlhf_core.ray_environment import local_ray_environment
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.formats import DeviceKind
from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.planning.plan import Plan
from openrlhf_core.spec.planning.resolve import resolve
from openrlhf_core.spec.run_config import DeviceConfig, PortsConfig, RunConfig


def run(job: RLHFJob, manifest: Path, output: Path | None, ray_address: str | None) -> int:
    """Runs a sound job and returns the exit code of the driver."""
    if ray_address is None:
        os.environ.update(local_ray_environment(os.environ))
    # torch, Ray and transformers take seconds to import; other commands do without.
    with collector_paused():
        from openrlhf_core import driver  # noqa: PLC0415
        from openrlhf_core.orchestration.placement import group_resource  # noqa: PLC0415
        from openrlhf_core.orchestration.ray_runtime import local_ray, surrounding_ray  # noqa: PLC0415
        from openrlhf_core.surroundings import Surroundings  # noqa: PLC0415

    plan = resolve(job.spec.training).plan
    try:
        kind, num_gpus = local_devices(plan, is_local=ray_address is None)
    except ConfigurationError as error:
        sys.stdout.write(f"{error}\n")
        return error.exit_code
    cores = os.cpu_count() or 1
    config = RunConfig(
        name=job.metadata.name_here,
        training=job.spec.training,
        output=str((output or Path(job.metadata.name_here)).absolute()),
        device=DeviceConfig(kind=kind, group_resources=ray_address is None),
        grace_period_seconds=job.spec.lifecycle.grace_period_seconds,
        ports=PortsConfig(progress=0, metrics=0, host="127.0.0.1"),
        threads_per_process=threads(plan, cores) if ray_address is None else 1,
    )
    resources = {group_resource(group.name): float(group.num_devices) for group in plan.groups}
    start = partial(local_ray, resources, cores, num_gpus)
    join = partial(surrounding_ray, ray_address or "")
    surroundings = Surroundings(
        open_ray=start if ray_address is None else join,
        base=manifest.absolute().parent,
        attempt=None,
        token=None,
        notes=notes(plan, kind, cores) if ray_address is None else (),
    )
    return driver.run(config, surroundings, sys.stdout)


def local_devices(plan: Plan, is_local: bool) -> tuple[DeviceKind, int]:
    """Returns the kind of device of this machine and how many GPUs it has.

    ConfigurationError when the plan needs more GPUs than there are.
    """
    import torch  # noqa: PLC0415

    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if is_local and 0 < num_gpus < plan.num_devices:
        raise ConfigurationError(
            f"training.placement needs {plan.num_devices} devices and this machine has {num_gpus} "
            "GPUs; lower devicesPerNode or nodes, or name a cluster with --ray-address"
        )
    return ("CUDA" if num_gpus else "CPU"), num_gpus


def threads(plan: Plan, cores: int) -> int:
    """Returns the OpenMP threads of each process: the cores shared out, at least one each."""
    return max(1, cores // plan.num_processes)


def notes(plan: Plan, kind: str, cores: int) -> tuple[str, ...]:
    """Returns what a person should know about the plan and this machine."""
    if kind == "CPU" and plan.num_devices > cores:
        return (
            f"the plan has {plan.num_devices} devices and this machine {cores} cores: they share "
            "the cores, which is slow but right",
        )
    return ()
