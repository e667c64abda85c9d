"""Life cycles on a real control plane with the real KubeRay; numbers are those of the scenarios
in docs/scenarios.md."""

import time
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

SPLIT = {
    "placement": {
        "groups": [
            {"name": "learner", "roles": ["Policy"], "nodes": 4, "devicesPerNode": 8},
            {"name": "rollout", "roles": ["Rollout"], "nodes": 4, "devicesPerNode": 8},
        ]
    }
}
COLOCATED = {
    "placement": {
        "groups": [
            {"name": "all", "roles": ["Policy", "Rollout"], "nodes": 8, "devicesPerNode": 8},
        ]
    }
}


def clusters_of(lab: Any, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.listed("raycluster", f"openrlhf.io/job={job}")
    return found


def delete_and_wait(lab: Any, job: str, seconds: float = 60) -> None:
    lab.kubectl("delete", "rlhfjob", job, "--wait=false")
    lab.wait(
        f"{job} is gone with its pods",
        lambda: (
            lab.get("rlhfjob", job) is None
            and not clusters_of(lab, job)
            and not lab.listed("pods", f"openrlhf.io/job={job}")
        ),
        seconds,
    )


def test_01_a_job_becomes_a_cluster_a_config_map_a_claim_and_a_policy(lab: Any) -> None:
    lab.submit("first")
    (cluster,) = lab.wait("RayCluster", lambda: clusters_of(lab, "first"))
    job = lab.job("first")
    assert cluster["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    assert cluster["spec"]["authOptions"]["mode"] == "token"
    assert "training" in lab.get("configmap", "first-config")["data"]["run.json"]
    assert "ownerReferences" not in lab.get("pvc", "first-output")["metadata"]
    assert lab.get("networkpolicy", "first-pods") is not None
    lab.wait("ready", lambda: lab.condition("first", "ClusterReady")[0] == "True")
    assert lab.condition("first", "Validated")[0] == "True"
    events = lab.kubectl("get", "events", "--field-selector", "involvedObject.kind=RLHFJob")
    assert "PodsReady" in events
    delete_and_wait(lab, "first")
    assert lab.get("pvc", "first-output") is not None
    assert lab.get("configmap", "first-config") is None


def test_an_eight_by_eight_job_is_split_over_two_worker_groups(lab: Any) -> None:
    lab.submit("split", training=SPLIT, scheduling={"queueName": "team-a"})
    (cluster,) = lab.wait("RayCluster", lambda: clusters_of(lab, "split"))
    groups = cluster["spec"]["workerGroupSpecs"]
    assert [(group["groupName"], group["replicas"]) for group in groups] == [
        ("learner", 4),
        ("rollout", 4),
    ]
    assert cluster["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    container = groups[0]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "8"
    tolerations = groups[0]["template"]["spec"]["tolerations"]
    assert {"key": "nvidia.com/gpu", "operator": "Exists"} in tolerations
    lab.wait("ready", lambda: lab.condition("split", "ClusterReady")[0] == "True", 90)
    status = lab.job("split")["status"]
    assert status["devices"] == 64
    assert [(g["name"], g["desired"], g["ready"]) for g in status["groups"]] == [
        ("head", 1, 1),
        ("learner", 4, 4),
        ("rollout", 4, 4),
    ]
    assert status["phase"] == "Starting"
    delete_and_wait(lab, "split")


def test_an_eight_by_eight_job_is_colocated_in_one_group(lab: Any) -> None:
    lab.submit("colocated", training=COLOCATED)
    (cluster,) = lab.wait("RayCluster", lambda: clusters_of(lab, "colocated"))
    (group,) = cluster["spec"]["workerGroupSpecs"]
    assert (group["groupName"], group["replicas"]) == ("all", 8)
    lab.wait("ready", lambda: lab.condition("colocated", "ClusterReady")[0] == "True", 90)
    delete_and_wait(lab, "colocated")


def test_08_a_job_without_room_says_what_is_lacking(lab: Any) -> None:
    groups = [
        {"name": "all", "roles": ["Policy", "Rollout"], "nodes": 9, "devicesPerNode": 8},
    ]
    lab.submit("toolarge", training={"placement": {"groups": groups}})
    lab.wait("said", lambda: lab.condition("toolarge", "ClusterReady")[1] == "Unschedulable")
    assert "nvidia.com/gpu" in lab.condition("toolarge", "ClusterReady")[2]
    delete_and_wait(lab, "toolarge")


def test_09_a_job_that_does_not_start_gives_its_devices_back(lab: Any) -> None:
    groups = [
        {"name": "all", "roles": ["Policy", "Rollout"], "nodes": 9, "devicesPerNode": 8},
    ]
    lifecycle = {"startupTimeoutSeconds": 3, "backoffLimit": 1, "backoffSeconds": 1}
    lab.submit("late", training={"placement": {"groups": groups}}, lifecycle=lifecycle)
    lab.wait("failed", lambda: lab.condition("late", "Failed")[0] == "True", 90)
    _, reason, message = lab.condition("late", "Failed")
    assert reason == "StartupTimeout"
    assert "nvidia.com/gpu" in message
    lab.wait("freed", lambda: not lab.listed("pods", "openrlhf.io/job=late"))
    status = lab.job("late")["status"]
    assert (status["phase"], status["restarts"], len(status["failures"])) == ("Failed", 1, 2)
    assert lab.get("networkpolicy", "late-pods") is None
    delete_and_wait(lab, "late")


@pytest.mark.parametrize(
    ("name", "spec", "reason", "words"),
    [
        (
            "bare-path",
            {"training": {"reward": {"functions": [{"source": "./reward.py"}]}}},
            "SourceNotReachable",
            "spec.training.reward.functions[default].source",
        ),
        (
            "no-claim",
            {"storage": {"output": {"claimName": "nowhere"}}},
            "ClaimNotFound",
            "'nowhere'",
        ),
        (
            "no-map",
            {"training": {"reward": {"functions": [{"source": "configmap://nowhere/r.py"}]}}},
            "ConfigMapNotFound",
            "nowhere",
        ),
        ("no-runtime", {"runtimeRef": {"name": "nowhere"}}, "RuntimeNotFound", "'nowhere'"),
        ("own-image", {"cluster": {"image": "mine:1"}}, "OverrideNotAllowed", "spec.cluster.image"),
        (
            "too-wide",
            {
                "training": {
                    "placement": {
                        "groups": [
                            {"name": "all", "roles": ["Policy", "Rollout"], "devicesPerNode": 16}
                        ]
                    }
                }
            },
            "PlanDoesNotFit",
            "devicesPerNode",
        ),
        (
            "bad-pod",
            {"cluster": {"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {}}}]}},
            "PodRejected",
            "valueFrom",
        ),
    ],
)
def test_10_what_cannot_run_is_said_and_takes_no_pod(
    lab: Any, name: str, spec: dict[str, Any], reason: str, words: str
) -> None:
    lab.submit(name, **spec)
    lab.wait("rejected", lambda: lab.condition(name, "Validated")[0] == "False")
    status, said, message = lab.condition(name, "Validated")
    assert (status, said) == ("False", reason)
    assert words in message
    assert clusters_of(lab, name) == []
    assert lab.job(name)["status"]["phase"] == "Pending"
    delete_and_wait(lab, name)


def test_a_rejected_job_is_mended_in_place(lab: Any) -> None:
    lab.submit("fixed", storage={"output": {"claimName": "later"}})
    lab.wait("rejected", lambda: lab.condition("fixed", "Validated")[1] == "ClaimNotFound")
    lab.submit("fixed")
    lab.wait("RayCluster", lambda: clusters_of(lab, "fixed"))
    delete_and_wait(lab, "fixed")


def test_12_suspension_frees_the_pods_and_its_end_makes_a_new_attempt(lab: Any) -> None:
    lab.submit("pausing")
    lab.wait("ready", lambda: lab.condition("pausing", "ClusterReady")[0] == "True")
    lab.kubectl("patch", "rlhfjob", "pausing", "--type=merge", '-p={"spec":{"suspend":true}}')
    lab.wait("suspended", lambda: lab.condition("pausing", "Suspended")[0] == "True")
    assert clusters_of(lab, "pausing") == []
    assert lab.listed("pods", "openrlhf.io/job=pausing") == []
    lab.kubectl("patch", "rlhfjob", "pausing", "--type=merge", '-p={"spec":{"suspend":false}}')
    lab.wait("ready again", lambda: lab.condition("pausing", "ClusterReady")[0] == "True")
    status = lab.job("pausing")["status"]
    assert status["attempt"]["number"] == 2
    assert (status["restarts"], status.get("failures", [])) == (0, [])
    delete_and_wait(lab, "pausing")


def test_13_a_job_created_suspended_waits(lab: Any) -> None:
    lab.submit("waiting", suspend=True)
    lab.wait("suspended", lambda: lab.condition("waiting", "Suspended")[0] == "True")
    assert clusters_of(lab, "waiting") == []
    lab.kubectl("patch", "rlhfjob", "waiting", "--type=merge", '-p={"spec":{"suspend":false}}')
    lab.wait("RayCluster", lambda: clusters_of(lab, "waiting"))
    delete_and_wait(lab, "waiting")


def test_14_a_queue_holds_takes_back_and_gives(lab: Any) -> None:
    """A queue's hand on `spec.suspend` of the RayCluster, which the operator never writes."""
    lab.submit("queued")
    (cluster,) = lab.wait("RayCluster", lambda: clusters_of(lab, "queued"))
    name = cluster["metadata"]["name"]
    lab.kubectl("patch", "raycluster", name, "--type=merge", '-p={"spec":{"suspend":true}}')
    lab.wait("queued", lambda: lab.job("queued")["status"]["phase"] == "Queued")
    lab.wait("no pods", lambda: not lab.listed("pods", "openrlhf.io/job=queued"))
    lab.kubectl("patch", "raycluster", name, "--type=merge", '-p={"spec":{"suspend":false}}')
    lab.wait("ready", lambda: lab.condition("queued", "ClusterReady")[0] == "True")
    assert lab.condition("queued", "Queued")[0] == "False"
    (still,) = clusters_of(lab, "queued")
    assert still["metadata"]["uid"] == cluster["metadata"]["uid"]
    delete_and_wait(lab, "queued")


def test_15_a_deadline_ends_the_job_and_frees_its_pods(lab: Any) -> None:
    lab.submit("short", lifecycle={"activeDeadlineSeconds": 3})
    lab.wait("failed", lambda: lab.condition("short", "Failed")[1] == "DeadlineExceeded")
    lab.wait("freed", lambda: not lab.listed("pods", "openrlhf.io/job=short"))
    delete_and_wait(lab, "short")


def test_17_a_finished_job_goes_when_its_time_is_over_and_its_claim_stays(lab: Any) -> None:
    lifecycle = {"activeDeadlineSeconds": 2, "ttlSecondsAfterFinished": 2}
    lab.submit("brief", lifecycle=lifecycle)
    lab.wait("gone", lambda: lab.get("rlhfjob", "brief") is None)
    assert lab.get("pvc", "brief-output") is not None


def test_27_a_running_job_keeps_the_runtime_it_began_with(lab: Any) -> None:
    runtime = {
        "apiVersion": "openrlhf.io/v1alpha1",
        "kind": "RLHFRuntime",
        "metadata": {"name": "own"},
        "spec": {
            "image": "trainer:before",
            "rayVersion": "2.60.0",
            "device": {"kind": "CPU"},
            "storage": {"output": {"size": "1Gi"}},
        },
    }
    lab.apply(runtime)
    reference = {"name": "own", "kind": "RLHFRuntime"}
    lab.submit("keeper", runtimeRef=reference, lifecycle={"backoffSeconds": 0})
    (cluster,) = lab.wait("RayCluster", lambda: clusters_of(lab, "keeper"))
    lab.kubectl("delete", "rlhfruntime", "own")
    lab.kubectl("delete", "raycluster", cluster["metadata"]["name"])
    (second,) = lab.wait(
        "a second RayCluster",
        lambda: [c for c in clusters_of(lab, "keeper") if c["metadata"]["uid"] != uid_of(cluster)],
    )
    head = second["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert head["image"] == "trainer:before"
    status = lab.job("keeper")["status"]
    assert (status["attempt"]["number"], status["failures"][0]["reason"]) == (2, "ClusterLost")
    delete_and_wait(lab, "keeper")


def uid_of(raw: dict[str, Any]) -> str:
    return str(raw["metadata"]["uid"])


def test_18_deletion_at_once_and_while_starting_leaves_the_claim_only(lab: Any) -> None:
    lab.submit("early")
    delete_and_wait(lab, "early")
    lab.submit("early")
    lab.wait("RayCluster", lambda: clusters_of(lab, "early"))
    delete_and_wait(lab, "early")
    for kind in ("configmap", "networkpolicy", "secret", "service"):
        assert not lab.listed(kind, "openrlhf.io/job=early"), kind


def test_24_nothing_is_written_when_nothing_changes(lab: Any) -> None:
    lab.submit("idle", suspend=True)
    lab.wait("suspended", lambda: lab.condition("idle", "Suspended")[0] == "True")
    before = lab.job("idle")["metadata"]["resourceVersion"]
    lab.kubectl("annotate", "rlhfjob", "idle", "note=1")
    noted = lab.job("idle")["metadata"]["resourceVersion"]
    assert noted != before
    time.sleep(25)  # two resyncs
    assert lab.job("idle")["metadata"]["resourceVersion"] == noted
    delete_and_wait(lab, "idle")
