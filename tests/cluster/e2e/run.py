"""End to end on a real node: `make e2e`, `make e2e MANIFEST=file`, `make e2e-images`.

The operator is installed from its image by helm, the job applied with kubectl, followed to
Complete; then output, status and leftovers are checked. The final object goes to
build/e2e/<name>.json, what its status said on the way to build/e2e/<name>.timeline.json.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import yaml
from following import Timeline, condition, describe, follow, has_ended, is_true, step_of
from installation import install_operator, operator_log
from lab_cluster import REGISTRY, CheckFailed, LabCluster, Manifest, lab_cluster
from outcome import check_no_traceback, check_nothing_left, check_output, check_status_moved
from runtimes import host_runtime, image_runtime

from rlhf_operator.commands.carry import bare_sources

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "build" / "e2e"
QUICKSTART = ROOT / "examples" / "quickstart-grpo.yaml"
QUICKSTART_STEPS = 300
PATIENCE_SECONDS = 30
"""How long a job may be refused for want of what its manifest names: that may be on its way."""
TRAINER_IMAGE = f"{REGISTRY}/rlhf-trainer-cpu:e2e"


def main(arguments: list[str]) -> int:
    """Runs; 0 when every check held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lab", required=True, help="program of the test cluster")
    parser.add_argument("--manifest", type=Path, help="another job than the quickstart")
    parser.add_argument("--images", action="store_true", help="run the real trainer-cpu image")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for the job")
    options = parser.parse_args(arguments)
    try:
        with lab_cluster(options.lab, keep=options.keep) as cluster:
            prepare(cluster, images=options.images)
            run(cluster, options.manifest, options.timeout)
    except CheckFailed as fault:
        sys.stderr.write(f"e2e failed: {fault}\n")
        return 1
    return 0


def prepare(cluster: LabCluster, *, images: bool) -> None:
    """The operator installed, and the runtime that jobs use by default."""
    say("building and installing the operator")
    runtime = host_runtime(ROOT, BUILD / "host")
    if images:
        say("building and pushing the trainer image (minutes the first time)")
        dockerfile = ROOT / "trainer_images" / "trainer-cpu" / "Dockerfile"
        cluster.build_and_push(TRAINER_IMAGE, str(dockerfile), ROOT)
        runtime = image_runtime(TRAINER_IMAGE)
    install_operator(cluster, ROOT, runtime)


def read_documents(manifest: Path | None) -> list[Manifest]:
    """The objects to apply; the quickstart is made long enough to be watched."""
    text = (manifest or QUICKSTART).read_text()
    documents = [document for document in yaml.safe_load_all(text) if document]
    if manifest is None:
        documents[0]["spec"]["training"]["maxSteps"] = QUICKSTART_STEPS
    return documents


def run(cluster: LabCluster, manifest: Path | None, timeout: float) -> None:
    """Applies, follows, checks."""
    documents = read_documents(manifest)
    job = next(document for document in documents if document["kind"] == "RLHFJob")
    name = job["metadata"]["name"]
    cluster.kubectl("delete", "rlhfjob", name, "--ignore-not-found", "--timeout=120s")
    apply(cluster, manifest, documents)
    started, timeline = time.monotonic(), Timeline()
    try:
        follow(cluster, name, timeout, is_on_its_way, timeline)
        say(f"first progress after {time.monotonic() - started:.0f} s")
        check_commands_while_running(cluster, name)
        final = follow(cluster, name, timeout, has_ended, timeline)
        say(f"{final['status']['phase']} after {time.monotonic() - started:.0f} s")
    finally:
        keep(cluster, name, timeline)
    if not is_true(final, "Complete"):
        raise CheckFailed(describe(final))
    check_finished(cluster, name, final, timeline, is_quickstart=manifest is None)


def apply(cluster: LabCluster, manifest: Path | None, documents: list[Manifest]) -> None:
    """With kubectl; a job with code or data beside its manifest as its author would submit it."""
    jobs = [document for document in documents if document["kind"] == "RLHFJob"]
    if manifest is not None and any(bare_sources(job["spec"]["training"]) for job in jobs):
        cluster.rlhf("submit", "--yes", str(manifest))
        return
    for document in documents:
        cluster.apply(document)


def is_on_its_way(job: Manifest) -> bool:
    """Whether it makes steps or has ended. CheckFailed when it stays refused."""
    validated = condition(job, "Validated")
    if validated.get("status") == "False":
        since = datetime.fromisoformat(validated["lastTransitionTime"])
        if (datetime.now(UTC) - since).total_seconds() > PATIENCE_SECONDS:
            raise CheckFailed(describe(job))
    return step_of(job) >= 2 or has_ended(job)


def check_commands_while_running(cluster: LabCluster, name: str) -> None:
    """The commands that look into a running job answer."""
    if not cluster.rlhf("logs", name, "--tail", "20").strip():
        raise CheckFailed("rlhf logs printed nothing while the job ran")
    groups = [group["name"] for group in (cluster.get("rlhfjob", name) or {})["status"]["groups"]]
    for group in groups:
        cluster.rlhf("logs", name, "--group", group, "--tail", "5")
    if "(step)" not in cluster.rlhf("metrics", name, "--plot", "reward/mean"):
        raise CheckFailed("rlhf metrics --plot drew nothing while the job ran")


def check_finished(
    cluster: LabCluster, name: str, final: Manifest, timeline: Timeline, *, is_quickstart: bool
) -> None:
    """Everything that must hold of a completed job."""
    cluster.kubectl("wait", "--for=condition=Complete", f"rlhfjob/{name}", "--timeout=10s")
    summary = check_output(cluster, final)
    say(
        f"reward {summary['metrics']['first'].get('reward/mean')} -> "
        f"{summary['metrics']['last'].get('reward/mean')}, {summary['seconds']:.0f} s of training"
    )
    if is_quickstart:
        check_status_moved(timeline, final)
    check_nothing_left(cluster, name)
    if "(step)" not in cluster.rlhf("metrics", name, "--plot", "reward/mean"):
        raise CheckFailed("rlhf metrics --plot drew nothing after the job had ended")
    check_nothing_left(cluster, name)
    check_no_traceback(operator_log(cluster))
    say(
        f"phases {' > '.join(timeline.phases)}; {len(timeline.steps_seen)} steps seen, "
        f"{len(timeline.versions)} versions of the object"
    )
    say("all checks hold")


def keep(cluster: LabCluster, name: str, timeline: Timeline) -> None:
    """Writes the object, the timeline and the operator's log, whatever happened."""
    BUILD.mkdir(parents=True, exist_ok=True)
    job = cluster.get("rlhfjob", name)
    (BUILD / f"{name}.json").write_text(json.dumps(job, indent=2) + "\n")
    sights = [asdict(sight) for sight in timeline.sights]
    (BUILD / f"{name}.timeline.json").write_text(json.dumps(sights, indent=1) + "\n")
    (BUILD / "operator.log").write_text(operator_log(cluster))


def say(text: str) -> None:
    """One line to the person who waits."""
    sys.stdout.write(f"e2e: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
