"""`RLHFJob`: one training run, as a user writes it."""

from collections.abc import Iterator
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
from openrlhf_core.spec.kinds.placement import HEAD_GROUP, GroupName
from openrlhf_core.spec.kinds.quantity import quantity_rule
from openrlhf_core.spec.kinds.rule import Rule, Violation
from openrlhf_core.spec.kinds.scheduling import SchedulingSpec
from openrlhf_core.spec.kinds.storage import StorageSpec
from openrlhf_core.spec.kinds.training import TrainingSpec


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
    """Overrides of the runtime, where its `allowedOverrides` permits them."""

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
    """What the user wants."""

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
    spec: RLHFJobSpec = Field(description="What the user wants.")
    status: dict[ShortText, Any] | None = Field(
        None,
        exclude=True,
        description="What the operator observed. Plain data here, so that a status of another "
        "version never makes a job unreadable: RLHFJobStatus.from_manifest reads it.",
    )


def _overrides_name_groups(job: RLHFJobSpec) -> Iterator[Violation]:
    names = {HEAD_GROUP, *(group.name for group in job.training.placement.groups)}
    for index, group in enumerate(job.cluster.groups):
        if group.name not in names:
            yield Violation(
                ("cluster", "groups", index, "name"),
                f"is {group.name}, which is no worker group",
                f"use one of {', '.join(sorted(names))}",
            )


RULES: tuple[Rule, ...] = (
    quantity_rule(ClusterGroupSpec, "resources"),
    quantity_rule(ClusterSpec, "env"),
    Rule(
        on=RLHFJobSpec,
        claim="cluster.groups are named as groups of training.placement, or head",
        reads=("cluster.groups", "training.placement"),
        check=_overrides_name_groups,
        cel="!has(self.cluster.groups) || self.cluster.groups.all(o, o.name == 'head' || "
        "self.training.placement.groups.exists(g, g.name == o.name))",
    ),
    Rule(
        on=RLHFJob,
        claim="metadata.name has at most 40 characters: lowercase letters, digits and -, "
        "beginning with a letter",
        cel="self.metadata.name.size() <= 40 && "
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    ),
    Rule(
        on=RLHFJob,
        claim="once an attempt has begun only suspend, the deadlines, ttlSecondsAfterFinished and "
        "cleanup may change; make another job for other settings",
        cel="!has(oldSelf.status) || !has(oldSelf.status.attempt) || ("
        "self.spec.training == oldSelf.spec.training && "
        "has(self.spec.runtimeRef) == has(oldSelf.spec.runtimeRef) && "
        "(!has(self.spec.runtimeRef) || self.spec.runtimeRef == oldSelf.spec.runtimeRef) && "
        "self.spec.storage == oldSelf.spec.storage && "
        "self.spec.cluster == oldSelf.spec.cluster && "
        "self.spec.scheduling == oldSelf.spec.scheduling && "
        "self.spec.lifecycle.backoffLimit == oldSelf.spec.lifecycle.backoffLimit && "
        "self.spec.lifecycle.backoffSeconds == oldSelf.spec.lifecycle.backoffSeconds && "
        "self.spec.lifecycle.gracePeriodSeconds == oldSelf.spec.lifecycle.gracePeriodSeconds)",
    ),
)
