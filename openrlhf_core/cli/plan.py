"""`rlhf plan`: the resolved settings, the placement and the memory of a run, before it starts."""

import json
from dataclasses import dataclass
from pathlib import Path

from openrlhf_core.cli.model_shape import find_shape
from openrlhf_core.cli.plan_json import as_data
from openrlhf_core.cli.plan_table import render
from openrlhf_core.cli.problems import load_manifests, only_job, write_out
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.job import RLHFJob
from openrlhf_core.spec.kinds.quantity import parse_quantity
from openrlhf_core.spec.planning.fit import Change, Fit, estimate, smallest_change
from openrlhf_core.spec.planning.resolve import ResolvedTraining, resolve
from openrlhf_core.spec.reading.validate import ManifestFile


@dataclass(frozen=True)
class Report:
    """The output of `rlhf plan`. Made by `make_report`, printed as a table or JSON."""

    name: str
    resolved: ResolvedTraining
    fit: Fit | None
    """None: the shape of the model is not known."""
    shape_note: str
    """Source of the model's shape, or why it is not known."""
    changes: tuple[Change, ...] | None
    """Changes that would make it fit. None if it fits already, or if no changes were found."""


def plan(
    file: Path, device_memory: str | None, model_config: Path | None, output_format: str
) -> int:
    """Prints the plan of the job in a file. Returns 0 even if the job does not fit."""
    manifests = load_manifests(file)
    job = only_job(manifests, file)
    memory = _bytes(device_memory) if device_memory else runtime_memory(manifests, job)
    report = make_report(job, file.parent, memory, model_config)
    as_json = output_format == "json"
    write_out(json.dumps(as_data(report), indent=2) + "\n" if as_json else render(report))
    return 0


def make_report(
    job: RLHFJob, base: Path, device_bytes: int | None, model_config: Path | None
) -> Report:
    """The plan of a job, whose bare paths are relative to `base`."""
    training = job.spec.training
    resolved = resolve(training)
    shape, note = find_shape(training.model.policy.source, base, model_config)
    fit = estimate(resolved, shape, device_bytes) if shape else None
    changes = None
    if shape and fit and fit.problems and device_bytes is not None:
        changes = smallest_change(resolved, shape, device_bytes)
    return Report(job.metadata.name_here, resolved, fit, note, changes)


def runtime_memory(manifests: ManifestFile, job: RLHFJob) -> int | None:
    """Memory of a device by the runtime in the same file; None without one."""
    wanted = job.spec.runtime_ref
    for found in manifests.objects:
        if isinstance(found, RLHFJob) or (wanted and found.metadata.name != wanted.name):
            continue
        if found.spec.device.memory is not None:
            return int(parse_quantity(found.spec.device.memory))
    return None


def _bytes(text: str) -> int:
    try:
        return int(parse_quantity(text))
    except ValueError as error:
        raise ConfigurationError(f"--device-memory: {error}") from error
