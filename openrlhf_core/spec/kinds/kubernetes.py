"""Pieces of Kubernetes that our kinds hold: metadata, references, pod fragments.

Fragments of a pod (resources, tolerations, volumes and the like) are kept as they are written.
Their schema belongs to Kubernetes: the operator checks them by creating a pod as a dry run.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from openrlhf_core.spec.kinds.base import ShortText, SpecModel
from openrlhf_core.spec.kinds.quantity import quantity_rule
from openrlhf_core.spec.kinds.rule import Rule, Violation

API_VERSION = "openrlhf.io/v1alpha1"

JOB_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""DNS-1035: names of services derive from a job's name."""

JOB_PREFIX_PATTERN = r"[a-z][-a-z0-9]{0,34}"
"""A `generateName` to which the API server adds 5 characters to make a job's name of it."""
RUNTIME_PREFIX_PATTERN = r"[a-z0-9][-a-z0-9.]{0,247}"

_LABEL_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_PREFIX = r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?"

LABEL_KEY_PATTERN = f"^{_LABEL_PREFIX}{_LABEL_NAME}$"
LABEL_VALUE_PATTERN = f"^({_LABEL_NAME})?$"
DNS_LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"

LabelKey = Annotated[str, Field(max_length=317, pattern=LABEL_KEY_PATTERN)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE_PATTERN)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]
AnnotationValue = Annotated[str, Field(max_length=262144)]
Annotations = Annotated[dict[LabelKey, AnnotationValue], Field(max_length=64)]
PodAnnotations = Annotated[
    dict[LabelKey, Annotated[str, Field(max_length=16384)]], Field(max_length=64)
]

DNSLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL_PATTERN)]
DNSName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_NAME_PATTERN)]
"""Name of a Kubernetes object (DNS-1123 subdomain)."""

Fragment = Annotated[
    dict[str, JsonValue],
    Field(max_length=64, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
]
"""A piece of a pod, as Kubernetes defines it."""

FragmentList = Annotated[
    tuple[Fragment, ...],
    Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
]


class JobMetadata(SpecModel):
    """Metadata of a job: what users write, and what the API server adds."""

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=JOB_NAME_PATTERN)] = Field(
        "",
        description="Name of the job; names of its pods and services derive from it. Empty only "
        "before the API server makes one of generateName.",
    )
    namespace: DNSLabel | None = Field(None, description="Namespace. Default: the current one.")
    labels: Labels = Field({}, description="Labels.")
    annotations: Annotations = Field({}, description="Annotations.")
    generate_name: ShortText | None = Field(
        None, description="Prefix of the name that the API server makes where none is given."
    )
    uid: ShortText | None = Field(None, description="Set by the API server.")
    resource_version: ShortText | None = Field(None, description="Set by the API server.")
    generation: int | None = Field(None, description="Set by the API server.")
    creation_timestamp: ShortText | None = Field(None, description="Set by the API server.")
    deletion_timestamp: ShortText | None = Field(None, description="Set by the API server.")
    deletion_grace_period_seconds: int | None = Field(None, description="Set by the server.")
    finalizers: tuple[ShortText, ...] = Field(
        (), description="Controllers that act before deletion."
    )
    owner_references: tuple[dict[str, JsonValue], ...] = Field((), description="Owners.")
    managed_fields: tuple[dict[str, JsonValue], ...] = Field(
        (), description="Which manager set which field."
    )
    self_link: ShortText | None = Field(None, description="Set by old API servers.")

    @property
    def name_here(self) -> str:
        """The name on this machine, where no API server completes a generateName."""
        return self.name or (self.generate_name or "").rstrip("-.")


class RuntimeMetadata(JobMetadata):
    """Metadata of a runtime."""

    name: DNSName = Field("", description="Name of the runtime, which jobs refer to.")


class LocalReference(SpecModel):
    """Another object of the same namespace, by name."""

    name: DNSName = Field(description="Name of the object.")


PullSecrets = Annotated[
    tuple[LocalReference, ...],
    Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
]


class PodOverrides(SpecModel):
    """What is added to pods. Maps and lists are merged with the runtime's; the job's entry wins."""

    labels: Labels = Field({}, description="Labels of the pods.")
    annotations: PodAnnotations = Field({}, description="Annotations of the pods.")
    node_selector: Labels = Field({}, description="Labels that a node must have.")
    tolerations: FragmentList = Field((), description="Taints that the pods tolerate.")
    affinity: Fragment | None = Field(None, description="Affinity of the pods.")
    env: FragmentList = Field((), description="Environment variables of the Ray container.")
    volumes: FragmentList = Field((), description="Volumes of the pods.")
    volume_mounts: FragmentList = Field((), description="Mounts of the Ray container.")


class TopologySpec(SpecModel):
    """How close to each other the pods of a worker group are placed."""

    mode: Literal["Required", "Preferred"] = Field(
        "Preferred", description="Required: the pods start only so. Preferred: where possible."
    )
    level: LabelKey = Field(description="Node label of the level, such as a rack.")


def _has_a_name(metadata: JobMetadata) -> Iterator[Violation]:
    """A name, or a generateName that the API server makes a sound name of."""
    prefix = metadata.generate_name
    is_job = not isinstance(metadata, RuntimeMetadata)
    pattern = JOB_PREFIX_PATTERN if is_job else RUNTIME_PREFIX_PATTERN
    if not metadata.name and prefix is None:
        yield Violation(("name",), "is missing", "add it, or generateName for `kubectl create`")
    elif not metadata.name and not re.fullmatch(pattern, prefix or ""):
        yield Violation(
            ("generateName",),
            f"is {prefix!r}, which begins no valid name",
            "use at most 35 lowercase letters, digits and -, beginning with a letter",
        )


RULES: tuple[Rule, ...] = (
    Rule(
        on=JobMetadata,
        claim="name is set, or generateName",
        reads=("name", "generateName"),
        check=_has_a_name,
    ),
    quantity_rule(PodOverrides, "volumes", "env"),
)
