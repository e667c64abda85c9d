"""RayClusters as rendered from jobs and runtimes."""

import json
from typing import Any

from rlhf_operator.desired.ray_cluster import pods_to_try, ray_cluster, workers_to_zero

SPLIT = {
    "training": {
        "placement": {
            "groups": [
                {"name": "learner", "roles": ["Policy"], "nodes": 4, "devicesPerNode": 8},
                {"name": "rollout", "roles": ["Rollout"], "nodes": 4, "devicesPerNode": 8},
            ]
        }
    }
}
CUDA = {
    "device": {"kind": "CUDA", "perNode": 8, "cpus": 4},
    "worker": {
        "resourcesPerDevice": {"requests": {"memory": "16Gi"}, "limits": {"memory": "32Gi"}},
        "resourcesPerNode": {"requests": {"memory": "8Gi"}},
        "podOverrides": {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
    },
}


def render(blueprint: Any, **changes: Any) -> dict[str, Any]:
    return dict(ray_cluster(blueprint(**changes), "demo-0f1e2-1").to_object())


def ray_container(group: dict[str, Any]) -> dict[str, Any]:
    return dict(group["template"]["spec"]["containers"][0])


def test_one_worker_group_stands_for_each_placement_group(blueprint: Any) -> None:
    cluster = render(blueprint, job=SPLIT, runtime=CUDA)
    groups = cluster["spec"]["workerGroupSpecs"]
    assert [group["groupName"] for group in groups] == ["learner", "rollout"]
    assert [(g["replicas"], g["minReplicas"], g["maxReplicas"]) for g in groups] == [(4, 4, 4)] * 2


def test_a_worker_offers_a_ray_resource_for_each_of_its_devices(blueprint: Any) -> None:
    group = render(blueprint, job=SPLIT, runtime=CUDA)["spec"]["workerGroupSpecs"][0]
    # KubeRay puts the value into a shell line, so it is JSON in JSON quotes.
    assert json.loads(json.loads(group["rayStartParams"]["resources"])) == {"rlhf-group-learner": 8}


def test_resources_are_per_device_times_devices_plus_per_node(blueprint: Any) -> None:
    group = render(blueprint, job=SPLIT, runtime=CUDA)["spec"]["workerGroupSpecs"][0]
    gib = 2**30
    # 8 devices x 16 Gi + 8 Gi; 8 x 32 Gi; 8 x 4 cores.
    assert ray_container(group)["resources"] == {
        "requests": {"memory": str(136 * gib), "cpu": "32", "nvidia.com/gpu": "8"},
        "limits": {"memory": str(256 * gib), "nvidia.com/gpu": "8"},
    }


def test_a_cpu_device_asks_for_its_cores_and_no_gpu(blueprint: Any) -> None:
    group = render(blueprint)["spec"]["workerGroupSpecs"][0]
    assert ray_container(group)["resources"] == {"requests": {"cpu": "500m"}}


def test_an_override_of_resources_never_changes_the_number_of_devices(blueprint: Any) -> None:
    job = SPLIT | {
        "cluster": {"groups": [{"name": "learner", "resources": {"limits": {"memory": "1Gi"}}}]}
    }
    groups = render(blueprint, job=job, runtime=CUDA)["spec"]["workerGroupSpecs"]
    assert ray_container(groups[0])["resources"] == {
        "limits": {"memory": "1Gi", "nvidia.com/gpu": "8"},
        "requests": {"nvidia.com/gpu": "8"},
    }
    assert ray_container(groups[1])["resources"]["requests"]["cpu"] == "32"


def test_the_head_holds_no_device_and_runs_no_task(blueprint: Any) -> None:
    head = render(blueprint, runtime=CUDA)["spec"]["headGroupSpec"]
    assert head["rayStartParams"] == {
        "num-cpus": "0",
        "num-gpus": "0",
        "dashboard-host": "0.0.0.0",
    }
    assert "nvidia.com/gpu" not in str(ray_container(head)["resources"])


def test_a_lost_head_is_not_made_again_and_a_token_is_asked_for(blueprint: Any) -> None:
    cluster = render(blueprint)
    assert cluster["metadata"]["annotations"] == {"ray.io/disable-provisioned-head-restart": "true"}
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    assert "suspend" not in cluster["spec"]


def test_the_job_owns_the_cluster(blueprint: Any, build: Any) -> None:
    (owner,) = render(blueprint)["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("RLHFJob", build.uid, True)


def test_pods_hold_no_credentials_and_no_rights(blueprint: Any) -> None:
    cluster = render(blueprint)["spec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        spec = group["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert ray_container(group)["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_every_pod_gives_the_driver_its_grace(blueprint: Any) -> None:
    cluster = render(blueprint, job={"lifecycle": {"gracePeriodSeconds": 90}})["spec"]
    hooks = []
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert group["template"]["spec"]["terminationGracePeriodSeconds"] == 110
        hooks.append(ray_container(group)["lifecycle"]["preStop"]["exec"]["command"])
    assert hooks == [
        ["python", "/etc/rlhf/stop.py", "90", "127.0.0.1"],
        ["python", "/etc/rlhf/stop.py", "90"],
    ]


def test_shared_memory_is_memory_backed_and_half_the_limit_by_default(blueprint: Any) -> None:
    group = render(blueprint, job=SPLIT, runtime=CUDA)["spec"]["workerGroupSpecs"][0]
    volumes = {volume["name"]: volume for volume in group["template"]["spec"]["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": str(128 * 2**30)}
    assert {"name": "shm", "mountPath": "/dev/shm"} in ray_container(group)["volumeMounts"]


def test_a_claim_for_one_node_binds_all_pods_to_it(blueprint: Any, build: Any) -> None:
    cluster = render(blueprint, is_shared=False)["spec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        affinity = group["template"]["spec"]["affinity"]["podAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert term["labelSelector"]["matchLabels"] == {"openrlhf.io/job-uid": build.uid}


def test_sources_are_mounted_where_the_core_looks_for_them(blueprint: Any) -> None:
    training = {
        "data": {"train": [{"source": "pvc://data/train.jsonl"}]},
        "reward": {"functions": [{"source": "configmap://rewards/style.py"}]},
    }
    group = render(blueprint, job={"training": training})["spec"]["workerGroupSpecs"][0]
    volumes = {volume["name"]: volume for volume in group["template"]["spec"]["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in ray_container(group)["volumeMounts"]}
    assert volumes["claim-0"] == {
        "name": "claim-0",
        "persistentVolumeClaim": {"claimName": "data"},
    }
    assert mounts["claim-0"] == "/mnt/pvc/data"
    projected = volumes["config"]["projected"]["sources"]
    assert projected[1]["configMap"] == {
        "name": "rewards",
        "items": [{"key": "style.py", "path": "configmaps/rewards/style.py"}],
    }
    assert mounts["config"] == "/etc/rlhf"


def test_the_last_entry_of_an_environment_variable_wins(blueprint: Any) -> None:
    groups = [{"name": "all", "podOverrides": {"env": [{"name": "B", "value": "group"}]}}]
    changes = {
        "job": {"cluster": {"env": [{"name": "A", "value": "job"}], "groups": groups}},
        "runtime": {
            "env": [{"name": "A", "value": "runtime"}, {"name": "B", "value": "runtime"}],
        },
    }
    group = render(blueprint, **changes)["spec"]["workerGroupSpecs"][0]
    env = {entry["name"]: entry["value"] for entry in ray_container(group)["env"]}
    assert (env["A"], env["B"]) == ("job", "group")


def test_nobody_but_kuberay_sets_the_token(blueprint: Any) -> None:
    job = {"cluster": {"env": [{"name": "RAY_AUTH_MODE", "value": "disabled"}]}}
    group = render(blueprint, job=job)["spec"]["workerGroupSpecs"][0]
    assert "RAY_AUTH_MODE" not in {entry["name"] for entry in ray_container(group)["env"]}


def test_queue_labels_are_what_each_scheduler_reads(blueprint: Any) -> None:
    expected = {
        "Default": {"kueue.x-k8s.io/queue-name": "gold"},
        "Volcano": {"volcano.sh/queue-name": "gold", "ray.io/priority-class-name": "high"},
        "YuniKorn": {
            "yunikorn.apache.org/queue": "gold",
            "ray.io/gang-scheduling-enabled": "true",
        },
        "KAI": {"kai.scheduler/queue": "gold"},
        "SchedulerPlugins": {"ray.io/gang-scheduling-enabled": "true"},
    }
    for scheduler, labels in expected.items():
        scheduling = {
            "scheduler": scheduler,
            "queueName": "gold",
            "priorityClassName": "high",
        }
        cluster = render(blueprint, job={"scheduling": scheduling})
        assert labels.items() <= cluster["metadata"]["labels"].items()
        spec = cluster["spec"]["headGroupSpec"]["template"]["spec"]
        assert spec["priorityClassName"] == "high"


def test_labels_of_the_job_for_schedulers_reach_the_cluster(blueprint: Any) -> None:
    labels = {"kueue.x-k8s.io/priority-class": "night", "team": "research"}
    cluster = render(blueprint, labels=labels)
    assert cluster["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "night"
    assert "team" not in cluster["metadata"]["labels"]


def test_a_pod_to_try_stands_for_each_template(blueprint: Any) -> None:
    pods = pods_to_try(blueprint(job=SPLIT, runtime=CUDA))
    assert [pod["metadata"]["name"] for pod in pods] == [
        "demo-head-dry-run",
        "demo-learner-dry-run",
        "demo-rollout-dry-run",
    ]


def test_workers_go_to_zero_by_name_and_the_head_stays(blueprint: Any) -> None:
    operations = workers_to_zero(render(blueprint, job=SPLIT, runtime=CUDA))
    assert operations[:3] == [
        {"op": "test", "path": "/spec/workerGroupSpecs/0/groupName", "value": "learner"},
        {"op": "add", "path": "/spec/workerGroupSpecs/0/replicas", "value": 0},
        {"op": "add", "path": "/spec/workerGroupSpecs/0/minReplicas", "value": 0},
    ]
    assert len(operations) == 6


def test_equal_blueprints_render_equal_bytes(blueprint: Any) -> None:
    first, second = (json.dumps(render(blueprint, job=SPLIT, runtime=CUDA)) for _ in range(2))
    assert first == second
