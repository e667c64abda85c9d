"""`Blueprint`: all that a RayCluster is rendered from. Made once a pass, by the reconciler."""

from dataclasses import dataclass

from openrlhf_core.spec.kinds.sources import Source
from openrlhf_core.spec.kinds.storage import OutputStorageSpec
from openrlhf_core.spec.planning.plan import Plan
from rlhf_operator.desired.identity import JobIdentity
from rlhf_operator.desired.merged import MergedRuntime


@dataclass(frozen=True)
class Blueprint:
    """A job, resolved: what pods it needs and what is in them."""

    job: JobIdentity
    job_labels: dict[str, str]
    job_annotations: dict[str, str]
    runtime: MergedRuntime
    output: OutputStorageSpec
    plan: Plan
    sources: tuple[Source, ...]
    grace_seconds: int
    is_bound_to_one_node: bool
    """The output claim can be mounted by one node only, so all pods go there."""
