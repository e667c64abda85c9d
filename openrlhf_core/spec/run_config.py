"""`RunConfig`: the input of the driver. `rlhf run` or the operator writes it once for each job."""

from typing import Annotated

from pydantic import Field

from openrlhf_core.spec.kinds.base import NonNegativeFloat, PositiveInt, ShortText, SpecModel
from openrlhf_core.spec.kinds.formats import DeviceKind
from openrlhf_core.spec.kinds.training import TrainingSpec

Port = Annotated[int, Field(ge=0, le=65535)]


class PortsConfig(SpecModel):
    """Where the driver listens; 0 takes a free port."""

    progress: Port = Field(8090, description="GET /progress, GET /healthz, POST /stop; with token.")
    metrics: Port = Field(8091, description="GET /metrics; without token, numbers only.")
    host: ShortText = Field("0.0.0.0", description="Address to listen on.")


class DeviceConfig(SpecModel):
    """What a placement device is."""

    kind: DeviceKind = Field(description="Kind of device.")
    group_resources: bool = Field(
        True,
        description="Whether the nodes of a worker group offer the Ray resource "
        "`rlhf-group-<name>`, one for each device. Without it the driver asks for CPUs or GPUs.",
    )


class RunConfig(SpecModel):
    """One job for the driver. The attempt's number comes beside it, as `--attempt N`."""

    name: ShortText = Field(description="Name of the job, for logs and trackers.")
    namespace: ShortText = Field("", description="Kubernetes namespace; empty on one machine.")
    uid: ShortText = Field("", description="The job's uid in Kubernetes; empty on one machine.")
    training: TrainingSpec = Field(description="What to train.")
    output: Annotated[str, Field(max_length=4096)] = Field(
        description="Directory for metrics, checkpoints and the model; shared by all nodes."
    )
    cache: Annotated[str, Field(max_length=4096)] | None = Field(
        None, description="Directory for downloaded models and datasets. Default: HF_HOME."
    )
    device: DeviceConfig = Field(description="What a placement device is.")
    grace_period_seconds: NonNegativeFloat = Field(
        60.0, description="Time to commit a checkpoint after a request to stop."
    )
    ports: PortsConfig = Field(PortsConfig(), description="Where the driver listens.")
    threads_per_process: PositiveInt = Field(
        1, description="OpenMP threads of each learner and engine on CPU."
    )
