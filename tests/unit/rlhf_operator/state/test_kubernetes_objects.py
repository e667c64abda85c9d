"""Raw pods, clusters and events as Kubernetes and KubeRay write them."""

from typing import Any

from rlhf_operator.state.kubernetes_objects import cluster_from, newest_warning, pod_from


def raw_pod(*, head: bool = False, **status: Any) -> dict[str, Any]:
    labels = {
        "ray.io/cluster": "demo-1",
        "ray.io/group": "headgroup" if head else "learner",
        "ray.io/node-type": "head" if head else "worker",
        "openrlhf.io/group": "head" if head else "learner",
    }
    return {"metadata": {"name": "demo-x", "uid": "u", "labels": labels}, "status": status}


def container(**state: Any) -> dict[str, Any]:
    return {"name": "ray", "ready": False, "imageID": "trainer@sha256:1", **state}


def trouble_of(**status: Any) -> tuple[str, str]:
    trouble = pod_from(raw_pod(**status)).trouble
    assert trouble is not None
    return trouble.reason, trouble.message


def test_head_and_workers_are_told_by_their_labels() -> None:
    assert pod_from(raw_pod(head=True)).group == "head"
    worker = pod_from(raw_pod(conditions=[{"type": "Ready", "status": "True"}]))
    assert (worker.group, worker.is_ready, worker.trouble) == ("learner", True, None)


def test_an_image_that_cannot_be_pulled_is_named() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nope:1"'}
    reason, message = trouble_of(containerStatuses=[container(state={"waiting": waiting})])
    assert reason == "ImagePullBackOff"
    assert message == 'pod demo-x (group learner): Back-off pulling image "nope:1"'


def test_an_init_container_in_trouble_comes_first() -> None:
    init = container(state={"waiting": {"reason": "ErrImagePull", "message": "no"}})
    main = container(state={"waiting": {"reason": "PodInitializing"}})
    assert trouble_of(initContainerStatuses=[init], containerStatuses=[main])[0] == "ErrImagePull"


def test_a_pod_without_a_node_quotes_the_scheduler() -> None:
    said = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": said,
    }
    assert trouble_of(conditions=[unscheduled]) == (
        "Unschedulable",
        f"pod demo-x (group learner): {said}",
    )


def test_a_container_killed_for_memory_is_seen_after_its_restart_too() -> None:
    killed = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    again = container(
        lastState=killed, state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    )
    pod = pod_from(raw_pod(containerStatuses=[again]))
    assert pod.is_out_of_memory
    assert pod.trouble is not None
    assert pod.trouble.reason == "OutOfMemory"
    running = container(lastState=killed, state={"running": {}}) | {"ready": True}
    assert pod_from(raw_pod(containerStatuses=[running])).trouble is None
    assert pod_from(raw_pod(containerStatuses=[running])).is_out_of_memory


def test_a_container_that_exits_gives_its_code() -> None:
    ended = {"terminated": {"reason": "Error", "exitCode": 1}}
    reason, message = trouble_of(containerStatuses=[container(state=ended)])
    assert (reason, message.endswith("exited with code 1")) == ("Error", True)


def test_an_evicted_pod_says_why() -> None:
    assert trouble_of(phase="Failed", reason="Evicted", message="disk") == (
        "Evicted",
        "pod demo-x (group learner): disk",
    )


def test_a_pod_that_is_taken_away_is_seen() -> None:
    raw = raw_pod(conditions=[{"type": "DisruptionTarget", "status": "True"}])
    raw["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    pod = pod_from(raw)
    assert (pod.is_deleting, pod.is_disrupted) == (True, True)


def test_a_cluster_tells_its_queue_and_its_trouble() -> None:
    raw = {
        "metadata": {"name": "demo-1", "uid": "u"},
        "spec": {"suspend": True, "workerGroupSpecs": [{"replicas": 0}]},
        "status": {
            "conditions": [
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreateHeadPod",
                    "message": "exceeded quota",
                }
            ]
        },
    }
    cluster = cluster_from(raw)
    assert (cluster.is_suspended, cluster.has_workers) == (True, False)
    assert cluster.trouble is not None
    assert cluster.trouble.message == "exceeded quota"


def test_the_newest_warning_is_told_and_normal_events_are_not() -> None:
    involved = {"kind": "RayCluster", "name": "demo-1"}
    events: list[dict[str, Any]] = [
        {
            "type": "Warning",
            "reason": "InvalidRayClusterSpec",
            "message": "no container",
            "lastTimestamp": "2026-11-22T12:00:02Z",
            "involvedObject": involved,
        },
        {"type": "Warning", "reason": "Old", "lastTimestamp": "2026-11-22T12:00:01Z"},
        {"type": "Normal", "reason": "Created", "lastTimestamp": "2026-11-22T12:00:03Z"},
    ]
    trouble = newest_warning(events)
    assert trouble is not None
    assert trouble.reason == "InvalidRayClusterSpec"
    assert trouble.message == "raycluster demo-1: no container"
    assert newest_warning([events[2]]) is None
    assert newest_warning([events[1] | {"reason": "Unhealthy"}]) is None
