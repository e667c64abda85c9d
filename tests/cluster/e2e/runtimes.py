"""Runtimes of the end-to-end runs: this machine's environment in pods, or a trainer image."""

import sys
from pathlib import Path
from typing import Any

Spec = dict[str, Any]

HOST_IMAGE = "docker.io/lab/host:1"
"""An empty root filesystem of the test cluster; what runs in it is mounted from this machine."""

HOST_FILES = ("/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/ssl", "/etc/alternatives")
"""Single entries of /etc: all of it, read-only, would leave no place to mount /etc/rlhf at."""

VLLM_CACHE = "/vllm-cache"
"""What vLLM finds out about a model's class by importing it in a process of its own: 20 s of CPU
at every start where nothing keeps it."""

PASSWD = "rlhf:x:1000:1000:rlhf:/tmp:/bin/bash\n"
GROUP = "rlhf:x:1000:\n"


def host_runtime(root: Path, scratch: Path) -> Spec:
    """A runtime whose pods run this checkout with the environment of this interpreter.

    `scratch` receives a passwd file: Ray and PyTorch ask for the name of the pod's user.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "passwd").write_text(PASSWD)
    (scratch / "group").write_text(GROUP)
    (scratch / "vllm").mkdir(exist_ok=True)
    (scratch / "vllm").chmod(0o777)
    folders = {"/usr": "/usr", **{path: path for path in _python_folders(root)}}
    files = {path: path for path in HOST_FILES if Path(path).exists()}
    files |= {f"/etc/{name}": str(scratch / name) for name in ("passwd", "group")}
    shared = {**folders, **files}
    overrides = {
        "volumes": [
            {"name": f"host-{index}", "hostPath": {"path": source}}
            for index, source in enumerate(shared.values())
        ]
        + [{"name": "vllm", "hostPath": {"path": str(scratch / "vllm")}}],
        "volumeMounts": [
            {"name": f"host-{index}", "mountPath": target, "readOnly": True}
            for index, target in enumerate(shared)
        ]
        + [{"name": "vllm", "mountPath": VLLM_CACHE}],
    }
    return _small_runtime(HOST_IMAGE) | {
        "head": {"resources": _resources("100m", "1Gi", "4Gi"), "podOverrides": overrides},
        "worker": _worker(overrides),
        "env": [
            {"name": "PATH", "value": f"{sys.prefix}/bin:/usr/bin:/bin"},
            {"name": "PYTHONPATH", "value": f"{root}:{root}/operator"},
            {"name": "HOME", "value": "/tmp"},
            {"name": "VLLM_CACHE_ROOT", "value": VLLM_CACHE},
            {"name": "OMP_NUM_THREADS", "value": "1"},
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
        ],
    }


def image_runtime(image: str) -> Spec:
    """A runtime of a real trainer image."""
    return _small_runtime(image) | {
        "head": {"resources": _resources("100m", "1Gi", "4Gi")},
        "worker": _worker({}),
    }


def _small_runtime(image: str) -> Spec:
    return {
        "image": image,
        "rayVersion": "2.60.0",
        "device": {"kind": "CPU", "perNode": 4, "cpus": "200m"},
        "storage": {"output": {"size": "1Gi"}},
        "allowedOverrides": ["Resources", "Env", "Scheduling", "Storage", "Image", "PodOverrides"],
    }


def _worker(overrides: Spec) -> Spec:
    return {
        "resourcesPerNode": {"requests": {"memory": "1Gi"}, "limits": {"memory": "6Gi"}},
        "sharedMemory": "1Gi",
        "podOverrides": overrides,
    }


def _resources(cpu: str, memory: str, limit: str) -> Spec:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit}}


def _python_folders(root: Path) -> list[str]:
    """The checkout, the environment and the interpreter's folder, none inside another."""
    wanted = {str(root), sys.prefix, str(Path(sys.base_prefix).resolve())}
    outer = [path for path in wanted if not path.startswith("/usr/")]
    return sorted(
        path for path in outer if not any(path != o and path.startswith(f"{o}/") for o in outer)
    )
