"""The operator as its users install it: its image built and pushed, its chart installed by helm."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lab_cluster import REGISTRY, SYSTEM_NAMESPACE, CheckFailed, LabCluster

RELEASE = "rlhf-operator"
RUNTIME = "e2e"
CHART = str(Path(__file__).resolve().parents[3] / "helm" / RELEASE)


def operator_image(root: Path) -> str:
    """The image's name; its tag follows the content, so that a node never runs an older one."""
    digest = hashlib.sha256()
    folders = ("openrlhf_core", "operator", "trainer_images/operator")
    files = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    for path in sorted(files):
        if "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return f"{REGISTRY}/rlhf-operator:{digest.hexdigest()[:12]}"


def install_operator(cluster: LabCluster, root: Path, runtime: dict[str, Any]) -> None:
    """Builds, pushes and installs; returns when the operator's pod is ready."""
    image = operator_image(root)
    cluster.build_and_push(image, str(root / "trainer_images/operator/Dockerfile"), root)
    repository, tag = image.removeprefix(f"{REGISTRY}/").split(":")
    values = {
        "image": {"registry": REGISTRY, "repository": repository, "tag": tag},
        "operator": {"resyncSeconds": 10},
        "runtimes": {
            "default": RUNTIME,
            "items": {
                "cpu": {"enabled": False},
                "cuda": {"enabled": False},
                RUNTIME: {"enabled": True, "spec": runtime},
            },
        },
    }
    options = ["--namespace", SYSTEM_NAMESPACE, "--create-namespace", "--wait", "--timeout=100s"]
    command = ["upgrade", "--install", RELEASE, CHART, *options, "-f", "-"]
    try:
        cluster.helm(*command, stdin=json.dumps(values))
    except CheckFailed as fault:
        raise CheckFailed(f"{fault}\n{operator_log(cluster)[-4000:]}") from fault


def operator_log(cluster: LabCluster) -> str:
    """What the operator's pod printed, the run before a restart included."""
    selector = "app.kubernetes.io/name=rlhf-operator"
    options = ["-n", SYSTEM_NAMESPACE, "-l", selector, "--tail=-1"]
    before = cluster.kubectl("logs", *options, "--previous", check=False)
    return before + cluster.kubectl("logs", *options, check=False)
