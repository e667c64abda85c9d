"""`RLHFJob`: one training run, as a person writes it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import ShortText, SpecModel
from openrlhf_core.spec.kinds.kubernetes import (
    DNSName,
    Fragment,
    FragmentList,
    JobMetadata,
    PodOverrides,
    PullSecrets,
)
from openrlhf_core.spec.kinds.lifecycle import LifecycleSpec
from openrlhf_core.spec.kinds.placement import GroupName
from openrlhf_core.spec.kinds.scheduling import SchedulingSpec
from openrlhf_core.spec.kinds.storage import StorageSpec
from openrlhf_core.spec.kinds.training import TrainingSpec

MAX_JOB_NAME_LENGTH = 40


class RuntimeReference(SpecModel):
    """The runtime whose settings the job takes."""

    name: DNSName = Field(description="Name of the runtime.")
    kind: Literal["ClusterRLHFRuntime", "RLHFRuntime"] = Field(
        "ClusterRLHFRuntime", description="A runtime of the cluster or of the job's namespace."
    )


class ClusterGroupSpec(SpecModel):
    """Overrides for the pods of one worker group, or of the head."""

    name: GroupName = Field(description="Name of a group of training.placement, or `head`.")
    resources: Fragment | None = Field(
        None, description="Resources of the Ray container, in place of the runtime's."
    )
    pod_overrides: PodOverrides = Field(PodOverrides(), description="What is added to the pods.")


class ClusterSpec(SpecModel):
    """Overrides of the runtime, where its allowedOverrides lets them."""

    groups: Annotated[tuple[ClusterGroupSpec, ...], Field(max_length=17)] = Field(
        (),
        description="Overrides by worker group.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        None, description="Image of every pod. Default: the runtime's."
    )
    image_pull_secrets: PullSecrets = Field((), description="Secrets to pull the image with.")
    service_account_name: DNSName | None = Field(
        None, description="ServiceAccount of the pods; its token is not mounted."
    )
    env: FragmentList = Field((), description="Environment variables of every Ray container.")
    env_from: FragmentList = Field(
        (),
        description="Secrets and ConfigMaps of the job's namespace whose keys become environment "
        "variables, as HF_TOKEN and WANDB_API_KEY.",
    )


class RLHFJobSpec(SpecModel):
    """What is wanted."""

    runtime_ref: RuntimeReference | None = Field(
        None, description="Runtime of the job. Default: the operator's; a local run needs none."
    )
    suspend: bool = Field(
        False, description="Stop with a checkpoint and free all pods; false resumes from it."
    )
    training: TrainingSpec = Field(description="What is trained, and on how many devices.")
    storage: StorageSpec = Field(StorageSpec(), description="Volumes; cluster only.")
    cluster: ClusterSpec = Field(ClusterSpec(), description="Overrides of the runtime.")
    scheduling: SchedulingSpec = Field(SchedulingSpec(), description="Queue and priority.")
    lifecycle: LifecycleSpec = Field(LifecycleSpec(), description="Retries and deadlines.")


class RLHFJob(SpecModel):
    """One training run."""

    api_version: Literal["openrlhf.io/v1alpha1"] = Field(description="Version of the kind.")
    kind: Literal["RLHFJob"] = Field(description="The kind.")
    metadata: JobMetadata = Field(description="Name, labels, annotations.")
    spec: RLHFJobSpec = Field(description="What is wanted.")
    status: dict[ShortText, Any] | None = Field(
        None,
        exclude=True,
        description="What was observed, by the operator. Kept unread here, so that a status of "
        "another version never makes a job unreadable: RLHFJobStatus.from_manifest reads it.",
    )
