"""The RayCluster of a whole job as a file, to be read by people when it changes.

`python -m pytest tests/unit/rlhf_operator/desired/test_golden.py` fails with the difference; run
with REWRITE_GOLDEN=1 it writes the file anew.
"""

import os
from pathlib import Path
from typing import Any

import yaml

from rlhf_operator.desired.ray_cluster import ray_cluster

GOLDEN = Path(__file__).parent / "golden" / "split.yaml"
JOB = {
    "training": {
        "placement": {
            "groups": [
                {"name": "learner", "roles": ["Policy"], "nodes": 2, "devicesPerNode": 8},
                {"name": "rollout", "roles": ["Rollout"], "nodes": 1, "devicesPerNode": 4},
            ]
        },
        "data": {"train": [{"source": "pvc://datasets/gsm8k"}]},
        "reward": {"functions": [{"source": "configmap://rewards/math.py"}]},
    },
    "storage": {"output": {"claimName": "runs", "subPath": "gsm8k"}, "cache": {"size": "50Gi"}},
    "cluster": {"envFrom": [{"secretRef": {"name": "tokens"}}]},
    "scheduling": {"queueName": "research", "priorityClassName": "high"},
    "lifecycle": {"gracePeriodSeconds": 120},
}
RUNTIME = {
    "image": "registry.example/trainer:1",
    "imagePullSecrets": [{"name": "pull"}],
    "device": {"kind": "CUDA", "perNode": 8, "memory": "80Gi", "cpus": 8},
    "head": {
        "resources": {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "16Gi"}}
    },
    "worker": {
        "resourcesPerDevice": {"requests": {"memory": "64Gi"}, "limits": {"memory": "128Gi"}},
        "sharedMemory": "64Gi",
        "podOverrides": {
            "nodeSelector": {"gpu": "h100"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        },
    },
    "env": [{"name": "NCCL_DEBUG", "value": "WARN"}],
}


def test_a_split_job_renders_as_the_golden_file_says(blueprint: Any) -> None:
    cluster = ray_cluster(blueprint(job=JOB, runtime=RUNTIME), "demo-0f1e2-1").to_object()
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.write_text(yaml.safe_dump(cluster, sort_keys=False))
    assert cluster == yaml.safe_load(GOLDEN.read_text())
