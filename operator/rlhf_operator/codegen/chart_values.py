"""The values of the Helm chart as models, from which `values.schema.json` is made.

`helm/rlhf-operator/values.yaml` is written by hand for its comments; a test says that it holds
exactly these defaults. The keys `enabled` and `global` exist for a parent chart.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from openrlhf_core.spec.kinds.base import PositiveInt, ShortText, SpecModel

Port = Annotated[int, Field(ge=1, le=65535)]
NamespaceName = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Digest = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]
RuntimeName = Annotated[str, Field(max_length=253, pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")]
Fragment = dict[str, Any]
"""A piece of a Kubernetes object, checked by the API server."""


class ImageValues(SpecModel):
    """The operator's image."""

    registry: ShortText = Field("", description="Registry; empty: the container runtime's own.")
    repository: Annotated[str, Field(min_length=1)] = Field(
        "rlhf-operator", description="Name of the image."
    )
    tag: ShortText = Field("", description="Tag. Default: the chart's appVersion.")
    digest: Digest = Field("", description="sha256:...; wins over the tag.")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When the image is pulled."
    )


class CRDValues(SpecModel):
    """The custom resource definitions."""

    install: bool = Field(True, description="Install and upgrade them with the chart.")
    keep: bool = Field(True, description="Leave them, and every job, when it is uninstalled.")


class WatchValues(SpecModel):
    """Whose jobs the operator looks after."""

    namespaces: list[NamespaceName] = Field([], description="Namespaces; empty: every one.")


class RBACValues(SpecModel):
    """Roles."""

    create: bool = Field(True, description="Make the operator's roles and their bindings.")
    cluster_runtimes: bool = Field(
        True,
        description="With watch.namespaces: whether the operator may read ClusterRLHFRuntimes. "
        "false makes no cluster-scoped role; jobs then name an RLHFRuntime.",
    )
    aggregate: bool = Field(
        True, description="Add RLHF objects to Kubernetes' own roles view, edit and admin."
    )


class ServiceAccountValues(SpecModel):
    """The operator's identity."""

    create: bool = Field(True, description="Make the ServiceAccount.")
    name: ShortText = Field("", description="Its name. Default: the full name of the release.")
    annotations: Fragment = Field({}, description="Annotations, as for a cloud's identity.")


class OperatorValues(SpecModel):
    """The operator's own settings."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severity that is logged."
    )
    log_format: Literal["JSON", "Text"] = Field(
        "JSON", description="JSON for log collectors, Text for people."
    )
    concurrency: PositiveInt = Field(8, description="Jobs reconciled at the same time.")
    resync_seconds: PositiveInt = Field(
        30, description="A job is looked at again after about this long."
    )
    extra_args: list[str] = Field([], description="More arguments of `python -m rlhf_operator`.")
    extra_env: list[Fragment] = Field([], description="More environment variables.")


class RuntimeValues(SpecModel):
    """One ClusterRLHFRuntime."""

    enabled: bool = Field(True, description="Whether it is made.")
    spec: Fragment = Field(description="As `kubectl explain clusterrlhfruntime.spec` says.")


class RuntimesValues(SpecModel):
    """Runtimes that come with the chart."""

    default: RuntimeName = Field("cpu", description="Runtime of jobs that name none; or empty.")
    items: dict[str, RuntimeValues] = Field(description="ClusterRLHFRuntimes by name.")


class MetricsServiceValues(SpecModel):
    """The Service in front of /metrics."""

    create: bool = Field(True, description="Make it.")
    annotations: Fragment = Field({}, description="Annotations, as prometheus.io/scrape.")


class MetricsValues(SpecModel):
    """/metrics of the operator."""

    port: Port = Field(8080, description="Port.")
    service: MetricsServiceValues = Field(MetricsServiceValues(), description="Its Service.")


class HealthValues(SpecModel):
    """/healthz of the operator."""

    port: Port = Field(8081, description="Port.")


class NetworkPolicyValues(SpecModel):
    """Who may connect to the operator."""

    enabled: bool = Field(True, description="Make a NetworkPolicy: only the metrics port.")
    metrics_from: list[Fragment] = Field(
        [], description="NetworkPolicy peers that may read metrics; empty: all of the cluster."
    )


class ChartValues(SpecModel):
    """Values of the chart rlhf-operator."""

    image: ImageValues = Field(description="The operator's image.")
    image_pull_secrets: list[Fragment] = Field(description="Secrets to pull it with.")
    fullname_override: ShortText = Field(description="Name of all objects.")
    crds: CRDValues = Field(description="The custom resource definitions.")
    watch: WatchValues = Field(description="Whose jobs the operator looks after.")
    rbac: RBACValues = Field(description="Roles.")
    service_account: ServiceAccountValues = Field(description="The operator's identity.")
    operator: OperatorValues = Field(description="The operator's own settings.")
    runtimes: RuntimesValues = Field(description="Runtimes that come with the chart.")
    metrics: MetricsValues = Field(description="/metrics of the operator.")
    health: HealthValues = Field(description="/healthz of the operator.")
    network_policy: NetworkPolicyValues = Field(description="Who may connect to the operator.")
    resources: Fragment = Field(description="Resources of the operator's container.")
    pod_annotations: Fragment = Field(description="Annotations of the pod.")
    pod_labels: Fragment = Field(description="Labels of the pod.")
    pod_security_context: Fragment | None = Field(
        description="Security context of the pod; null for a platform that sets its own."
    )
    security_context: Fragment | None = Field(description="The same of the container.")
    priority_class_name: ShortText = Field(description="PriorityClass of the pod.")
    node_selector: Fragment = Field(description="Labels that the node must bear.")
    tolerations: list[Fragment] = Field(description="Taints that the pod bears with.")
    affinity: Fragment = Field(description="Affinity of the pod.")
    termination_grace_period_seconds: PositiveInt = Field(
        description="Time for a pass under way to end when the operator is stopped."
    )
    enabled: bool = Field(description="Condition of a parent chart's dependency.")
    global_: Fragment = Field(alias="global", description="Globals of a parent chart.")
