"""Resources of the Ray containers: what the runtime says for each device and each node."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

from openrlhf_core.spec.kinds.job import RLHFJobSpec
from openrlhf_core.spec.kinds.quantity import parse_quantity, wrong_quantities
from openrlhf_core.spec.kinds.runtime import DeviceSpec, RLHFRuntimeSpec, WorkerSpec
from openrlhf_core.spec.planning.plan import PlannedGroup
from openrlhf_core.spec.reading.yaml_reader import path_text
from rlhf_operator.conditions import Reason
from rlhf_operator.desired.ray_types import Object
from rlhf_operator.findings import Finding

DEFAULT_GPU_RESOURCE = "nvidia.com/gpu"
KINDS = ("requests", "limits")


def worker_resources(
    worker: WorkerSpec, device: DeviceSpec, group: PlannedGroup, override: Object | None
) -> Object:
    """Requests and limits of a worker: per device x devices + per node, and the devices.

    An override replaces the sum but never the devices: their number is the plan's.
    """
    count = group.devices_per_node
    if override is not None:
        resources = {kind: dict(_kind(override, kind)) for kind in KINDS}
    else:
        resources = {kind: _sum(worker, kind, count) for kind in KINDS}
        cores = format_quantity(parse_quantity(device.cpus) * count)
        if "cpu" not in resources["requests"] and "cpu" not in resources["limits"]:
            resources["requests"]["cpu"] = cores
    if device.kind == "CUDA":
        name = device.resource_name or DEFAULT_GPU_RESOURCE
        for kind in KINDS:
            resources[kind][name] = str(count)
    return {kind: values for kind, values in resources.items() if values}


def quantity_findings(job: RLHFJobSpec, runtime: RLHFRuntimeSpec) -> tuple[Finding, ...]:
    """One finding for every request or limit that is not a quantity."""
    fragments = [
        (f"spec.cluster.groups[{group.name}].resources", group.resources)
        for group in job.cluster.groups
    ]
    found = _wrong_quantities(Reason.INVALID_SPEC, fragments)
    fragments = [
        ("the runtime's spec.head.resources", runtime.head.resources),
        ("the runtime's spec.worker.resourcesPerDevice", runtime.worker.resources_per_device),
        ("the runtime's spec.worker.resourcesPerNode", runtime.worker.resources_per_node),
    ]
    return (*found, *_wrong_quantities(Reason.INVALID_RUNTIME, fragments))


def _wrong_quantities(
    reason: Reason, fragments: Iterable[tuple[str, Object | None]]
) -> Iterator[Finding]:
    for path, fragment in fragments:
        for wrong in wrong_quantities(fragment):
            yield Finding(reason, f"{path}.{path_text(wrong.path)}: {wrong.message}; {wrong.fix}")


def memory_limit(resources: Mapping[str, Any]) -> Decimal | None:
    """The bound on a container's memory, in bytes, or None."""
    value = _kind(resources, "limits").get("memory")
    return None if value is None else parse_quantity(value)


def format_quantity(amount: Decimal) -> str:
    """The amount as Kubernetes writes it: whole, else in thousandths, rounded up."""
    if amount == amount.to_integral_value():
        return str(int(amount))
    return f"{int((amount * 1000).to_integral_value(ROUND_CEILING))}m"


def _sum(worker: WorkerSpec, kind: str, count: int) -> dict[str, str]:
    totals: dict[str, Decimal] = {}
    for fragment, factor in ((worker.resources_per_device, count), (worker.resources_per_node, 1)):
        for name, value in _kind(fragment or {}, kind).items():
            totals[name] = totals.get(name, Decimal(0)) + parse_quantity(value) * factor
    return {name: format_quantity(total) for name, total in totals.items()}


def _kind(fragment: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = fragment.get(kind)
    return found if isinstance(found, Mapping) else {}
