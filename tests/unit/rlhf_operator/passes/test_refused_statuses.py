"""Statuses that the API server refuses, and passes that fail: said, and nothing is held up."""

from typing import Any

import pytest

from rlhf_operator.clients.api_errors import ApiError, Denied, Invalid

LONG_AGO = "2020-01-01T00:00:00Z"


def refuse_progress(status: dict[str, Any]) -> None:
    """A policy of the cluster that does not like numbers."""
    if "progress" in status:
        raise Invalid(422, "Invalid", "status.progress: we do not do that here")


def refuse_all(status: dict[str, Any]) -> None:
    """As a CRD of another version, or a right that was taken away."""
    raise Denied(403, "Forbidden", "rlhfjobs/status is forbidden")


def test_a_refused_status_falls_back_to_what_decisions_rest_on(
    make_world: Any, play: Any, build: Any
) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(5)
        world.kubernetes.judge_status = refuse_progress
        world.progress = build.progress().model_dump(mode="json", by_alias=True)
        await operator.run(2)
        assert world.condition("Degraded") == ("True", "StatusRefused")
        assert "we do not do that here" in world.message("Degraded")
        assert world.status["phase"] == "Running"
        world.drivers["demo-1"] = {"status": "SUCCEEDED"}
        await operator.run(3)

    play(world, story)
    assert world.status["phase"] == "Succeeded"
    assert "progress" not in world.status


@pytest.mark.parametrize("status", [400, 403, 413, 422])
def test_a_job_whose_status_cannot_be_written_is_suspended_and_deleted(
    make_world: Any, play: Any, status: int
) -> None:
    world = make_world(lifecycle={"gracePeriodSeconds": 1})

    def refuse(_: dict[str, Any]) -> None:
        raise ApiError(status, "Refused", "no")

    async def story(operator: Any) -> None:
        await operator.run(5)
        world.kubernetes.judge_status = refuse
        world.job["spec"]["suspend"] = True
        await operator.run(8)
        assert world.stops == ["demo-1"]
        assert world.kubernetes.kind("rayclusters") == []
        world.job["metadata"]["deletionTimestamp"] = LONG_AGO
        await operator.run(2)

    play(world, story)
    assert world.kubernetes.kind("rlhfjobs") == []


def test_no_device_is_taken_for_a_job_whose_status_cannot_be_written(
    make_world: Any, play: Any
) -> None:
    world = make_world()
    world.kubernetes.judge_status = refuse_all

    async def story(operator: Any) -> None:
        await operator.run(6)
        assert world.kubernetes.kind("rayclusters") == []
        world.kubernetes.judge_status = lambda status: None
        await operator.run(6)

    play(world, story)
    assert world.submissions == ["demo-1"]
    assert world.condition("Validated") == ("True", "Valid")


def test_an_edit_of_something_else_does_not_hold_a_status_up(make_world: Any, play: Any) -> None:
    world = make_world()
    kubernetes = world.kubernetes

    def scribble(verb: str, kind: str) -> None:
        if verb == "status" and kubernetes.calls.count(("status", "rlhfjobs")) % 3:
            world.job["metadata"]["annotations"] = {"n": str(kubernetes.version)}
            kubernetes.version += 1
            world.job["metadata"]["resourceVersion"] = str(kubernetes.version)

    kubernetes.fault = scribble

    async def story(operator: Any) -> None:
        await operator.run(8)

    play(world, story)
    assert world.submissions == ["demo-1"]
    assert world.status["phase"] == "Running"


def broken(verb: str, kind: str) -> None:
    """A fault that nobody foresaw."""
    if (verb, kind) == ("list", "events") or kind in ("configmaps", "secrets"):
        raise KeyError("a field that nobody thought of")


def test_a_pass_that_fails_unforeseen_says_so(make_world: Any, play: Any) -> None:
    world = make_world()

    async def story(operator: Any) -> None:
        await operator.run(2)
        world.kubernetes.fault = broken
        for _ in range(3):
            with pytest.raises(KeyError):
                await operator.run()
        assert world.condition("Degraded") == ("True", "PassFailed")
        assert "a field that nobody thought of" in world.message("Degraded")
        version = world.job["metadata"]["resourceVersion"]
        with pytest.raises(KeyError):
            await operator.run()
        assert world.job["metadata"]["resourceVersion"] == version, "said once"
        world.kubernetes.fault = lambda verb, kind: None
        await operator.run(5)

    play(world, story)
    assert world.condition("Degraded") == ("False", "AsExpected")
    assert world.submissions == ["demo-1"]


@pytest.mark.parametrize("wish", ["suspend", "delete"])
def test_a_job_whose_passes_all_fail_is_freed_after_its_grace(
    make_world: Any, play: Any, wish: str
) -> None:
    world = make_world(lifecycle={"gracePeriodSeconds": 1})

    def fail(verb: str, kind: str) -> None:
        if verb == "get" and kind in ("secrets", "rayclusters", "networkpolicies"):
            raise KeyError("unforeseen")

    async def story(operator: Any) -> None:
        await operator.run(5)
        operator.restart()
        world.kubernetes.fault = fail
        if wish == "suspend":
            world.job["spec"]["suspend"] = True
        else:
            world.job["metadata"]["deletionTimestamp"] = LONG_AGO
        for _ in range(4):
            operator.turn_clock(20)
            with pytest.raises(KeyError):
                await operator.run()
            if not world.kubernetes.kind("rlhfjobs"):
                break

    play(world, story)
    assert world.kubernetes.kind("rayclusters") == []
    assert (world.kubernetes.kind("rlhfjobs") == []) == (wish == "delete")


def test_an_outage_is_no_fault_of_the_job(make_world: Any, play: Any) -> None:
    world = make_world()

    def outage(verb: str, kind: str) -> None:
        raise ApiError(503, "ServiceUnavailable", "try later")

    async def story(operator: Any) -> None:
        await operator.run(2)
        world.kubernetes.fault = outage
        with pytest.raises(ApiError):
            await operator.run()

    play(world, story)
    assert world.condition("Degraded") == ("", "")
