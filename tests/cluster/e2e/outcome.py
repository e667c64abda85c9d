"""What a finished run must have left, and what it must not."""

import json
from pathlib import Path
from typing import Any

from following import Timeline, is_true
from lab_cluster import CheckFailed, LabCluster, Manifest, wait_for

CHILD_KINDS = ("pods", "rayclusters.ray.io", "services", "secrets", "networkpolicies", "jobs")
STATUS_SECONDS = 10
"""Between two writes of the status that say no transition: the operator's default."""
TRANSITION_WRITES = 20
"""Other writes of an undisturbed run: creation, finalizer, changes of conditions."""
KEPT_SECRETS = ("kubernetes.io/service-account-token", "helm.sh/release.v1")


def output_directory(cluster: LabCluster, job: Manifest) -> Path:
    """The job's directory on the volume, which the test cluster keeps on this machine."""
    output = job["status"]["output"]
    claim = cluster.get("pvc", output["claimName"])
    if claim is None:
        raise CheckFailed(f"claim {output['claimName']} of the status is not there")
    volume = json.loads(cluster.kubectl("get", "pv", claim["spec"]["volumeName"], "-o", "json"))
    return Path(volume["spec"]["hostPath"]["path"]) / str(output["path"])


def check_output(cluster: LabCluster, job: Manifest) -> dict[str, Any]:
    """The summary of the run; CheckFailed when checkpoint, model or rows are missing."""
    folder = output_directory(cluster, job)
    rows = metric_rows(folder)
    total, last = job["status"]["progress"]["totalSteps"], job["status"]["progress"]["step"]
    if last != total:
        raise CheckFailed(f"the status of the finished job shows step {last} of {total}")
    if [row["step"] for row in rows] != list(range(1, total + 1)):
        raise CheckFailed(f"{folder}/metrics.jsonl: {len(rows)} rows, not one for each of {total}")
    latest = folder / job["status"]["checkpoints"]["latest"]["path"]
    for needed in (latest / "manifest.json", folder / "model" / "config.json"):
        if not needed.is_file():
            raise CheckFailed(f"{needed} is missing")
    if not list((folder / "model").glob("*.safetensors")):
        raise CheckFailed(f"{folder}/model holds no safetensors")
    summary = json.loads((folder / "summary.json").read_text())
    assert isinstance(summary, dict)
    return summary


def metric_rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of metrics.jsonl."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def leftovers(cluster: LabCluster, name: str) -> list[str]:
    """`kind/name` of all that is left of a job but itself, its ConfigMap and its claim.

    Also of whatever else lies in the namespace and belongs to no job that is there.
    """
    found = []
    for kind in CHILD_KINDS:
        for item in cluster.listed(kind):
            if kind == "services" and item["metadata"]["name"] == "kubernetes":
                continue
            if item.get("type") not in KEPT_SECRETS:
                found.append(f"{kind}/{item['metadata']['name']}")
    jobs = {name, *(item["metadata"]["name"] for item in cluster.listed("rlhfjobs"))}
    kept = {"kube-root-ca.crt", *(f"{job}-config" for job in jobs)}
    maps = [
        item["metadata"]["name"]
        for item in cluster.listed("configmaps")
        if not any(owner["name"] in jobs for owner in item["metadata"].get("ownerReferences", []))
    ]
    return found + [f"configmaps/{item}" for item in maps if item not in kept]


def check_nothing_left(cluster: LabCluster, name: str, seconds: float = 120) -> None:
    """CheckFailed when anything but the job, its ConfigMap and its claim stays."""
    left: list[str] = []

    def is_clean() -> bool:
        left[:] = leftovers(cluster, name)
        return not left

    try:
        wait_for("cleanup", seconds, is_clean, pause=1)
    except CheckFailed as fault:
        raise CheckFailed(f"left behind after {seconds:.0f} s: {', '.join(left)}") from fault


def check_status_moved(timeline: Timeline, job: Manifest) -> None:
    """CheckFailed when the status did not show the run on its way."""
    if len(timeline.steps_seen) < 3:
        raise CheckFailed(f"the status showed only steps {timeline.steps_seen}")
    if not any(sight.reward is not None for sight in timeline.sights[:-1]):
        raise CheckFailed("the status showed no reward while the job ran")
    if not is_true(job, "Complete"):
        raise CheckFailed("Complete is not True")
    seconds = timeline.sights[-1].seconds
    if len(timeline.versions) > TRANSITION_WRITES + seconds / STATUS_SECONDS:
        raise CheckFailed(f"{len(timeline.versions)} writes of the object in {seconds:.0f} s")


def check_no_traceback(log: str) -> None:
    """CheckFailed quoting the first traceback of the operator's log."""
    if "Traceback" in log:
        start = log.index("Traceback")
        raise CheckFailed(f"a traceback in the operator's log:\n{log[start : start + 3000]}")
