"""Whole passes: objects made, the driver submitted once, statuses written, faults survived."""

from typing import Any

import pytest

from rlhf_operator.clients.api_errors import ApiError, Denied


def test_a_job_runs_from_its_application_to_its_end(make_world: Any, play: Any, build: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(4)
        assert world.submissions == ["demo-1"]
        world.progress = build.progress().model_dump(mode="json", by_alias=True)
        await operator.run(2)
        assert world.status["phase"] == "Running"
        assert world.status["progress"]["step"] == 3
        assert world.status["metrics"] == [{"name": "reward/mean", "value": "0.25"}]
        world.drivers["demo-1"] = {"status": "SUCCEEDED", "driver_exit_code": 0}
        await operator.run(4)

    play(world, story)
    assert world.status["phase"] == "Succeeded"
    assert world.condition("Complete") == ("True", "Done")
    left = {kind for kind, *_ in world.kubernetes.objects}
    assert left == {
        "clusterrlhfruntimes",
        "rlhfjobs",
        "configmaps",
        "persistentvolumeclaims",
        "events",
    }


def test_the_last_progress_is_read_from_the_log(make_world: Any, play: Any, build: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(5)
        word = build.progress(step=10).model_dump_json(by_alias=True)
        log = f"bye\nrlhf-progress: {word}\n"
        world.drivers["demo-1"] = {"status": "SUCCEEDED", "driver_exit_code": 0, "log": log}
        await operator.run(2)

    play(world, story)
    assert world.status["progress"]["step"] == 10


def test_a_failed_driver_is_quoted_in_the_condition(make_world: Any, play: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(5)
        log = "data.train[digits]: row 3 has no column 'prompt'"
        world.drivers["demo-1"] = {"status": "FAILED", "driver_exit_code": 2, "log": log}
        await operator.run(4)

    play(world, story)
    assert world.condition("Failed") == ("True", "ConfigurationRejected")
    (failure,) = world.status["failures"]
    assert failure["exitCode"] == 2
    assert "no column 'prompt'" in failure["message"]
    assert world.kubernetes.kind("rayclusters") == []


def test_a_quiet_job_is_not_written_to(make_world: Any, play: Any) -> None:
    world = make_world(suspend=True)

    async def story(operator: Any) -> None:
        await operator.run(3)
        version = world.job["metadata"]["resourceVersion"]
        await operator.run(5)
        assert world.job["metadata"]["resourceVersion"] == version

    play(world, story)
    assert world.condition("Suspended") == ("True", "Suspended")


def test_a_finished_job_costs_no_request(make_world: Any, play: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(5)
        world.drivers["demo-1"] = {"status": "SUCCEEDED", "driver_exit_code": 0}
        await operator.run(5)
        assert world.status["phase"] == "Succeeded"
        world.kubernetes.calls.clear()
        await operator.run(5)
        assert world.kubernetes.calls == []

    play(world, story)


def test_a_job_that_was_suspended_leaves_no_policy_in_the_end(make_world: Any, play: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(5)
        world.job["spec"]["suspend"] = True
        await operator.run(6)
        world.job["spec"]["suspend"] = False
        await operator.run(6)
        assert world.submissions == ["demo-1", "demo-2"]
        world.drivers["demo-2"] = {"status": "SUCCEEDED", "driver_exit_code": 0}
        await operator.run(5)

    play(world, story)
    assert world.status["phase"] == "Succeeded"
    assert world.kubernetes.kind("networkpolicies") == []


def test_suspension_stops_the_driver_and_then_frees_the_pods(make_world: Any, play: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(5)
        world.job["spec"]["suspend"] = True
        await operator.run(6)

    play(world, story)
    assert world.stops == ["demo-1"]
    assert world.status["phase"] == "Suspended"
    assert world.kubernetes.kind("pods") == []


def test_deletion_with_a_dead_dashboard_is_not_held_up(make_world: Any, play: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(5)
        assert world.job["metadata"]["finalizers"] == ["openrlhf.io/cleanup"]
        world.is_dead = True
        world.job["metadata"]["deletionTimestamp"] = build_time()
        await operator.run(2)

    play(world, story)
    assert world.kubernetes.kind("rlhfjobs") == []
    assert world.kubernetes.kind("rayclusters") == []
    assert len(world.kubernetes.kind("persistentvolumeclaims")) == 1


def build_time() -> str:
    return "2100-01-01T00:00:00Z"


def test_kuberay_that_is_not_installed_is_said_and_waited_for(make_world: Any, play: Any) -> None:
    world = make_world()
    world.kubernetes.is_kuberay_there = False

    async def story(operator: Any) -> None:
        await operator.run(2)
        assert world.condition("Validated") == ("False", "KubeRayNotInstalled")
        world.kubernetes.is_kuberay_there = True
        await operator.run(4)

    play(world, story)
    assert world.submissions == ["demo-1"]


def test_a_child_of_somebody_else_is_left_alone(make_world: Any, play: Any) -> None:
    world = make_world()
    from_kind = type("R", (), {"plural": "configmaps"})
    foreign = {"metadata": {"name": "demo-config"}, "data": {"theirs": "1"}}
    world.kubernetes.put(from_kind, "team-a", foreign)

    async def story(operator: Any) -> None:
        await operator.run(4)

    play(world, story)
    (kept,) = world.kubernetes.kind("configmaps")
    assert kept["data"] == {"theirs": "1"}
    assert world.condition("ClusterReady") == ("False", "ActFailed")
    assert world.kubernetes.kind("rayclusters") == []


def test_rights_that_are_missing_are_said_and_recovered_from(make_world: Any, play: Any) -> None:
    world = make_world()

    def deny(verb: str, kind: str) -> None:
        if (verb, kind) == ("create", "rayclusters"):
            raise Denied(403, "Forbidden", "rayclusters is forbidden")

    world.kubernetes.fault = deny

    async def story(operator: Any) -> None:
        await operator.run(4)
        assert world.condition("ClusterReady") == ("False", "ActFailed")
        world.kubernetes.fault = lambda verb, kind: None
        await operator.run(4)

    play(world, story)
    assert world.submissions == ["demo-1"]


def test_a_runtime_that_may_not_be_read_is_said(make_world: Any, play: Any) -> None:
    world = make_world()

    def deny(verb: str, kind: str) -> None:
        if (verb, kind) == ("get", "clusterrlhfruntimes"):
            raise Denied(403, "Forbidden", "clusterrlhfruntimes is forbidden")

    world.kubernetes.fault = deny

    async def story(operator: Any) -> None:
        await operator.run(2)
        assert world.condition("Validated") == ("False", "ApiDenied")
        world.kubernetes.fault = lambda verb, kind: None
        await operator.run(4)

    play(world, story)
    assert world.submissions == ["demo-1"]


def test_a_job_that_breaks_rules_is_told_all_of_them(make_world: Any, play: Any) -> None:
    world = make_world(training={"rl": {"algorithm": "GRPO", "groupSize": 1}, "epochs": 1})

    async def story(operator: Any) -> None:
        await operator.run(2)

    play(world, story)
    assert world.condition("Validated") == ("False", "InvalidSpec")
    (condition,) = world.status["conditions"]
    assert "maxSteps" in condition["message"]
    assert world.kubernetes.kind("rayclusters") == []


@pytest.mark.parametrize("seed", range(12))
def test_requests_that_fail_and_kills_never_submit_twice(
    make_world: Any, play: Any, faults: Any, seed: int
) -> None:
    world = make_world()
    world.kubernetes.fault = faults(seed, 0.15)

    async def story(operator: Any) -> None:
        for _ in range(40):
            try:
                await operator.run()
            except ApiError:
                operator.restart()
        world.kubernetes.fault = lambda verb, kind: None
        await operator.run(5)
        assert world.submissions == ["demo-1"]
        world.kubernetes.fault = faults(seed + 100, 0.15)
        world.drivers["demo-1"] = {"status": "SUCCEEDED", "driver_exit_code": 0}
        for _ in range(40):
            try:
                await operator.run()
            except ApiError:
                operator.restart()

    play(world, story)
    assert world.status["phase"] == "Succeeded"
    assert world.kubernetes.kind("rayclusters") == []
    assert world.submissions == ["demo-1"]


def test_events_tell_transitions_and_tell_them_once(make_world: Any, play: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(8)

    play(world, story)
    told = [event["message"].split(":")[0] for event in world.kubernetes.kind("events")]
    assert "Validated=True" in told
    assert "Running=True" in told
    assert told.count("ClusterReady=True") == 1
    assert not [message for message in told if message.startswith("Stalled")]


def test_series_of_a_job_go_with_it(make_world: Any, play: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(6)
        labels = {"namespace": "team-a", "rlhfjob": "demo"}
        sample = operator.metrics.registry.get_sample_value
        assert sample("rlhf_job_devices_held", labels) == 1
        world.job["metadata"]["deletionTimestamp"] = build_time()
        await operator.run(4)
        assert sample("rlhf_job_devices_held", labels) is None

    play(world, story)
