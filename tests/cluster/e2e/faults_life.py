"""Scenarios: suspend, resume, deadlines, time to live, deletion in every phase."""

import json
import time

from bench import Bench
from following import Timeline, follow, has_ended, is_true
from lab_cluster import CheckFailed, Manifest, wait_for

BREAK_AT = 25
DELETION_BOUND = 90.0
"""Seconds: the grace period of the jobs here (30), and what KubeRay and the kubelet take."""


def suspend_and_resume(bench: Bench, name: str) -> str:
    """Suspended mid-run: pods gone, checkpoint committed; resumed from it, the curve unbroken."""
    timeline = Timeline()
    bench.start(bench.job(name))
    bench.running(name, BREAK_AT, timeline)
    bench.cluster.rlhf("suspend", name)
    job = follow(bench.cluster, name, 120, lambda seen: is_true(seen, "Suspended"), timeline)
    wait_for("pods of a suspended job to go", 60, lambda: not _pods(bench, name))
    latest = job["status"]["checkpoints"]["latest"]["step"]
    if latest < BREAK_AT:
        raise CheckFailed(f"the checkpoint is of step {latest}: no grace checkpoint was committed")
    bench.cluster.rlhf("resume", name)
    job = bench.completes(name, timeline)
    if job["status"]["attempt"].get("resumedFromStep") != latest:
        raise CheckFailed(f"resumed from {job['status']['attempt'].get('resumedFromStep')}")
    if job["status"].get("restarts"):
        raise CheckFailed("a suspension was counted as a restart")
    return f"suspended and resumed at step {latest}; {' > '.join(timeline.phases)}"


def created_suspended(bench: Bench, name: str) -> str:
    """Created suspended: no pod; let go: it runs to its end."""
    bench.start(bench.job(name, suspend=True))
    follow(bench.cluster, name, 60, lambda seen: is_true(seen, "Suspended"))
    time.sleep(5)
    if _pods(bench, name):
        raise CheckFailed("a job created suspended has pods")
    bench.cluster.rlhf("resume", name)
    bench.completes(name)
    return "no pod while suspended; then Complete"


def deleted_pending(bench: Bench, name: str) -> str:
    """Deleted at once after it was created."""
    bench.start(bench.job(name))
    return _deleted(bench, name)


def deleted_starting(bench: Bench, name: str) -> str:
    """Deleted while its pods start."""
    bench.start(bench.job(name))
    wait_for("a pod", 60, lambda: bool(_pods(bench, name)))
    return _deleted(bench, name)


def deleted_running(bench: Bench, name: str) -> str:
    """Deleted mid-run."""
    bench.start(bench.job(name))
    bench.running(name, 5)
    return _deleted(bench, name)


def deleted_suspended(bench: Bench, name: str) -> str:
    """Deleted while suspended."""
    bench.start(bench.job(name, suspend=True))
    follow(bench.cluster, name, 60, lambda seen: is_true(seen, "Suspended"))
    return _deleted(bench, name)


def deleted_finished(bench: Bench, name: str) -> str:
    """Deleted after it completed; the claim stays."""
    bench.start(bench.job(name, training={"maxSteps": 5}))
    follow(bench.cluster, name, 300, has_ended)
    return _deleted(bench, name)


def deleted_with_a_dead_head(bench: Bench, name: str) -> str:
    """Deleted mid-run when the dashboard does not answer: bounded all the same."""
    bench.start(bench.job(name))
    bench.running(name, 5)
    head = bench.pods(name, "head")[0]
    bench.cluster.kubectl(
        "exec", head, "-c", "ray", "--", "bash", "-c", "pkill -STOP -f [d]ashboard.py"
    )
    return _deleted(bench, name)


def active_deadline(bench: Bench, name: str) -> str:
    """Runs longer than activeDeadlineSeconds: Failed, pods gone."""
    lifecycle = {"activeDeadlineSeconds": 40}
    bench.start(bench.job(name, training={"maxSteps": 100000}, lifecycle=lifecycle))
    said = bench.says(name, "Failed", "True", "DeadlineExceeded", seconds=180)
    wait_for("pods to go", 90, lambda: not _pods(bench, name))
    return said


def time_to_live(bench: Bench, name: str) -> str:
    """Deleted by itself after it finished; the claim stays."""
    lifecycle = {"ttlSecondsAfterFinished": 5}
    bench.start(bench.job(name, training={"maxSteps": 5}, lifecycle=lifecycle))
    wait_for("the job to go", 300, lambda: bench.cluster.get("rlhfjob", name) is None)
    if bench.cluster.get("pvc", f"{name}-output") is None:
        raise CheckFailed("the claim went with the job")
    return "job gone, claim there"


def head_kept(bench: Bench, name: str) -> str:
    """cleanup DeleteWorkers: the head stays, its log can be read; then the job is deleted."""
    lifecycle = {"cleanup": {"onSuccess": "DeleteWorkers"}}
    bench.start(bench.job(name, training={"maxSteps": 5}, lifecycle=lifecycle))
    follow(bench.cluster, name, 300, lambda seen: is_true(seen, "Complete"))
    wait_for("workers to go", 60, lambda: not bench.pods(name, "worker"))
    time.sleep(10)  # longer than a check, and than KubeRay takes to bring a worker back
    if not bench.pods(name, "head") or bench.pods(name, "worker"):
        raise CheckFailed(
            f"left are the pods {[pod['metadata']['name'] for pod in _pods(bench, name)]}"
        )
    if not bench.cluster.rlhf("logs", name).strip():
        raise CheckFailed("rlhf logs printed nothing while the head was kept")
    return f"the head alone stayed; deleted: {_deleted(bench, name)}"


def runtime_edited(bench: Bench, name: str) -> str:
    """The runtime is edited mid-run, then a retry: the job keeps its snapshot."""
    bench.undisturbed()  # not with the edited runtime
    bench.start(bench.job(name))
    bench.running(name, 5)
    runtime = bench.cluster.kubectl("get", "clusterrlhfruntime", "e2e", "-o", "json")
    patch = '{"spec": {"image": "registry.lab/not-there:1"}}'
    try:
        bench.cluster.kubectl("patch", "clusterrlhfruntime", "e2e", "--type=merge", "-p", patch)
        pod = bench.pods(name, "head")[0]
        bench.cluster.kubectl("delete", "pod", pod, "--force", "--grace-period=0")
        bench.completes(name)
    finally:
        bench.cluster.kubectl("replace", "--force", "-f", "-", stdin=_clean(runtime))
    return "a new cluster from the snapshot; Complete"


def _deleted(bench: Bench, name: str) -> str:
    seconds = bench.gone(name, DELETION_BOUND)
    return f"nothing left but the claim after {seconds:.0f} s"


def _pods(bench: Bench, name: str) -> list[Manifest]:
    return bench.cluster.listed("pods", selector=f"openrlhf.io/job={name}")


def _clean(text: str) -> str:
    manifest = json.loads(text)
    kept = {key: manifest["metadata"][key] for key in ("name", "labels", "annotations")}
    return json.dumps(manifest | {"metadata": kept})
