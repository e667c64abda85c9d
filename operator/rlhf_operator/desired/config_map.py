"""The job's ConfigMap: RunConfig, the runtime as it was resolved, and the preStop script.

Written before the first pod and never again: later edits of a runtime change no running job.
"""

from openrlhf_core.spec.kinds.runtime import RLHFRuntimeSpec
from openrlhf_core.spec.kinds.storage import OutputStorageSpec
from openrlhf_core.spec.kinds.training import TrainingSpec
from openrlhf_core.spec.run_config import DeviceConfig, PortsConfig, RunConfig
from rlhf_operator import names
from rlhf_operator.desired import stop_hook
from rlhf_operator.desired.identity import JobIdentity
from rlhf_operator.desired.ray_types import Object
from rlhf_operator.desired.storage import sub_path_of


def run_config(
    job: JobIdentity,
    training: TrainingSpec,
    output: OutputStorageSpec,
    device_kind: str,
    grace_seconds: int,
) -> RunConfig:
    """What the driver is started with, the same for every attempt."""
    directory = sub_path_of(job.name, job.uid, output)
    return RunConfig(
        name=job.name,
        namespace=job.namespace,
        uid=job.uid,
        training=training,
        output=f"{names.OUTPUT_DIRECTORY}/{directory}",
        cache=names.CACHE_DIRECTORY,
        device=DeviceConfig(kind="CUDA" if device_kind == "CUDA" else "CPU", group_resources=True),
        grace_period_seconds=float(grace_seconds),
        ports=PortsConfig(progress=names.PROGRESS_PORT, metrics=names.METRICS_PORT),
    )


def config_map(job: JobIdentity, config: RunConfig, runtime: RLHFRuntimeSpec) -> Object:
    """The ConfigMap as an object."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "immutable": True,
        "metadata": job.child_metadata(names.config_map_name(job.name)),
        "data": {
            names.RUN_CONFIG_KEY: config.model_dump_json(
                by_alias=True, exclude_none=True, indent=1
            ),
            names.RUNTIME_KEY: runtime.model_dump_json(by_alias=True, exclude_none=True, indent=1),
            names.STOP_SCRIPT_KEY: stop_hook.SCRIPT,
        },
    }


def runtime_from(config_map: Object) -> RLHFRuntimeSpec | None:
    """The runtime that a snapshot holds, or None when it holds none that can be read."""
    text = config_map.get("data", {}).get(names.RUNTIME_KEY)
    if text is None:
        return None
    try:
        return RLHFRuntimeSpec.model_validate_json(text, by_alias=True, by_name=False)
    except ValueError:
        return None
