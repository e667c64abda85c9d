"""A job over its runtime becomes a blueprint, or the findings that say why it can not."""

from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.runtime import RLHFRuntimeSpec
from openrlhf_core.spec.planning.plan import Plan
from openrlhf_core.spec.planning.resolve import resolve as resolve_training
from rlhf_operator.conditions import Reason
from rlhf_operator.desired.blueprint import Blueprint
from rlhf_operator.desired.identity import JobIdentity
from rlhf_operator.desired.merged import MergedRuntime, merge, override_findings
from rlhf_operator.desired.resources import quantity_findings
from rlhf_operator.desired.sources import NamedSource, sources_of
from rlhf_operator.findings import Finding


def identity_of(job: RLHFJob) -> JobIdentity:
    """Name, namespace and uid of a job that the API server knows."""
    metadata = job.metadata
    return JobIdentity(metadata.name, metadata.namespace or "default", metadata.uid or "")


def source_findings(job: RLHFJob) -> tuple[Finding, ...]:
    """Sources that mean nothing on a cluster: a bare path, a scheme of no use there."""
    found = (_source_finding(source) for source in sources_of(job.spec.training))
    return tuple(finding for finding in found if finding is not None)


def resolve(
    job: RLHFJob, runtime: RLHFRuntimeSpec, is_shared_claim: bool
) -> tuple[Blueprint | None, tuple[Finding, ...]]:
    """The blueprint, or None and every finding. `is_shared_claim`: many nodes may mount the output.

    Pure: what must be asked of the API server (do claims exist?) is asked elsewhere.
    """
    findings = [
        *source_findings(job),
        *override_findings(job.spec, runtime),
        *quantity_findings(job.spec, runtime),
    ]
    if findings:
        return None, tuple(findings)
    merged = merge(job.spec, runtime)
    try:
        plan = resolve_training(job.spec.training).plan
    except ValueError as error:
        return None, (Finding(Reason.INVALID_SPEC, f"spec.{error}"),)
    findings += _storage_findings(merged) + _fit_findings(plan, merged, is_shared_claim)
    if findings or merged.output is None:
        return None, tuple(findings)
    parsed = (source.parsed() for source in sources_of(job.spec.training))
    return (
        Blueprint(
            job=identity_of(job),
            job_labels=dict(job.metadata.labels),
            job_annotations=dict(job.metadata.annotations),
            runtime=merged,
            output=merged.output,
            plan=plan,
            sources=tuple(parsed),
            grace_seconds=job.spec.lifecycle.grace_period_seconds,
            is_bound_to_one_node=not is_shared_claim,
        ),
        (),
    )


def _source_finding(source: NamedSource) -> Finding | None:
    try:
        parsed = source.parsed()
    except ValueError as error:
        return Finding(Reason.INVALID_SPEC, f"{source.path}: {error}")
    if parsed.scheme != "path":
        return None
    return Finding(
        Reason.SOURCE_NOT_REACHABLE,
        f"{source.path}: {source.text!r} is a path on somebody's machine, which pods do not have; "
        "use hf://, pvc://, configmap:// or builtin://, or `rlhf submit`, which carries small "
        "files as a ConfigMap",
    )


def _storage_findings(merged: MergedRuntime) -> list[Finding]:
    output = merged.output
    if output is None:
        message = "spec.storage.output is not set and the runtime has none; set claimName or size"
        return [Finding(Reason.INVALID_SPEC, message)]
    if (output.claim_name is None) == (output.size is None):
        message = "spec.storage.output: set exactly one of claimName and size"
        return [Finding(Reason.INVALID_SPEC, message)]
    return []


def _fit_findings(plan: Plan, merged: MergedRuntime, is_shared_claim: bool) -> list[Finding]:
    """Groups that no node can hold, and plans that one node can not where all must go to one."""
    largest = merged.device.per_node
    findings = [
        Finding(
            Reason.PLAN_DOES_NOT_FIT,
            f"spec.training.placement.groups[{group.name}].devicesPerNode is "
            f"{group.devices_per_node}, but the runtime's largest node has {largest}; use more "
            "nodes with fewer devices each",
        )
        for group in plan.groups
        if group.devices_per_node > largest
    ]
    if not findings and not is_shared_claim and plan.num_devices > largest:
        message = (
            f"spec.storage.output: the claim can be mounted by one node only, which has {largest} "
            f"devices, and the plan needs {plan.num_devices}; use a claim with ReadWriteMany"
        )
        findings.append(Finding(Reason.PLAN_DOES_NOT_FIT, message))
    return findings
