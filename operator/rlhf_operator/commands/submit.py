"""`rlhf submit`: a manifest, judged here first, then applied; small local files go along."""

from pathlib import Path
from typing import Any

from rich.console import Console

from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.base import without_nulls
from openrlhf_core.spec.reading.objects import read_objects
from openrlhf_core.spec.reading.validate import read_manifests
from rlhf_operator.commands.carry import bare_sources, config_map, read_files, with_carried_sources
from rlhf_operator.commands.cluster import Cluster
from rlhf_operator.commands.consent import Consent
from rlhf_operator.names import API_VERSION, KIND

Manifest = dict[str, Any]


def submit_file(
    cluster: Cluster, console: Console, file: Path, consent: Consent, *, dry_run: bool
) -> list[str]:
    """Applies every object of the file, in its order; the names of its jobs.

    Raises ConfigurationError for a manifest that is not valid, before anything is sent; for a file
    that cannot be carried; and for what the API server refuses.
    """
    names = []
    for manifest in read_checked(file, cluster.namespace):
        if manifest["kind"] == KIND and manifest["apiVersion"] == API_VERSION:
            submit_job(cluster, console, manifest, file.parent, consent, dry_run=dry_run)
            names.append(str(manifest["metadata"]["name"]))
        else:
            cluster.apply(manifest, dry_run=dry_run)
            _say(console, manifest, dry_run)
    if names and not dry_run:
        console.print(f"follow it with: rlhf status -w {names[0]}", highlight=False)
    return names


def read_checked(file: Path, namespace: str) -> list[Manifest]:
    """The objects of a file as they are written; ConfigurationError with every problem of them."""
    problems = [str(problem) for problem in read_manifests(file).problems]
    if problems:
        raise ConfigurationError("\n".join(problems))
    manifests = [
        without_nulls(document.data) for document in read_objects(file.read_bytes()).documents
    ]
    for manifest in manifests:
        if "name" not in manifest["metadata"]:
            raise ConfigurationError(
                f"{file}: metadata.name is missing: objects are applied by name; write one, or "
                "use `kubectl create` with generateName"
            )
        written = manifest["metadata"].get("namespace", namespace)
        if written != namespace:
            raise ConfigurationError(
                f"{file}: metadata.namespace is {written}, and the namespace asked for is "
                f"{namespace}; pass --namespace {written}"
            )
    return manifests


def submit_job(
    cluster: Cluster,
    console: Console,
    job: Manifest,
    folder: Path,
    consent: Consent,
    *,
    dry_run: bool,
) -> None:
    """Applies one job, after the ConfigMap of the local files that it names."""
    bare = bare_sources(job["spec"]["training"])
    if not bare:
        cluster.apply(job, dry_run=dry_run)
        _say(console, job, dry_run)
        return
    files = read_files(bare, folder)
    carrier = config_map(job["metadata"]["name"], files)
    listed = ", ".join(sorted({item.source for item in files}))
    if not consent(f"Carry {listed} to the cluster in ConfigMap {carrier['metadata']['name']}?"):
        raise ConfigurationError(
            f"{listed}: a pod has no such file; put it on a volume (pvc://claim/path) or into a "
            "ConfigMap (configmap://name/key)"
        )
    name = carrier["metadata"]["name"]
    carried = with_carried_sources(job, files, name)
    cluster.apply(carried, dry_run=True)  # a refused job leaves no ConfigMap behind
    cluster.apply(carrier, dry_run=dry_run)
    if not dry_run:
        _hand_over(cluster, name, cluster.apply(carried))
    _say(console, carrier, dry_run)
    _say(console, job, dry_run)


def _hand_over(cluster: Cluster, config_map_name: str, job: Manifest) -> None:
    """Makes the job the owner of the ConfigMap, so that it goes with the job."""
    owner = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
    }
    path = cluster.core_path("configmaps", config_map_name)
    patch = {"metadata": {"ownerReferences": [owner]}}
    cluster.send("PATCH", path, f"configmap {config_map_name}", patch)


def _say(console: Console, manifest: Manifest, dry_run: bool) -> None:
    done = "would be applied (dry run)" if dry_run else "applied"
    kind, name = manifest["kind"].lower(), manifest["metadata"]["name"]
    console.print(f"{kind}/{name} {done}", highlight=False, soft_wrap=True)
