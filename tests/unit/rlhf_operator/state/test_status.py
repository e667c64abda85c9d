"""Statuses: what is copied, what is worth a write, what stays within its bounds."""

from typing import Any

import pytest
from pydantic import ValidationError

from openrlhf_core.spec.progress import CheckpointRecord
from rlhf_operator.conditions import Reason
from rlhf_operator.findings import Finding
from rlhf_operator.state.decide import decide
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.status.build import is_transition
from rlhf_operator.state.step import StatusChanges


def condition_of(status: Any, name: str) -> Any:
    return next(condition for condition in status.conditions if condition.type == name)


def test_progress_metrics_and_checkpoints_are_the_drivers(build: Any) -> None:
    record = CheckpointRecord(step=2, path="checkpoints/step-00000002", time=1.0)
    progress = build.progress(
        checkpoint=record,
        checkpoint_count=1,
        tokens_per_second=1234.567,
        estimated_remaining_seconds=12.4,
        resumed_from_step=1,
    )
    status = decide(build.scene(progress=progress)).status
    assert status.progress is not None
    assert (status.progress.step, status.progress.percentage) == (3, 30)
    assert status.progress.tokens_per_second == "1235"
    assert status.progress.estimated_remaining_seconds == 12
    assert status.checkpoints is not None
    assert status.checkpoints.latest is not None
    assert status.checkpoints.latest.step == 2
    assert status.attempt is not None
    assert status.attempt.resumed_from_step == 1
    assert condition_of(status, "CheckpointAvailable").status == "True"
    assert status.resolved is not None
    assert status.resolved.versions == {"ray": "2.60.0"}


def test_progress_of_another_attempt_is_not_taken_over(build: Any) -> None:
    status = decide(build.scene(progress=build.progress(attempt=7))).status
    assert status.progress is None


def test_of_many_metrics_the_leading_ones_are_kept(build: Any) -> None:
    metrics = {f"zz/{number:03}": 1.0 for number in range(50)} | {"reward/mean": 0.1234567}
    status = decide(build.scene(progress=build.progress(metrics=metrics))).status
    assert len(status.metrics) == 32
    assert (status.metrics[0].name, status.metrics[0].value) == ("reward/mean", "0.123457")


def test_groups_count_their_ready_pods_and_quote_their_trouble(build: Any) -> None:
    trouble = Trouble("ImagePullBackOff", "pod x: no image")
    pods = (build.pod("head"), build.pod("all", is_ready=False, trouble=trouble))
    status = decide(build.scene(pods=pods)).status
    head, workers = status.groups
    assert (head.name, head.desired, head.ready, head.message) == ("head", 1, 1, "")
    assert (workers.desired, workers.ready) == (1, 0)
    assert workers.message == "ImagePullBackOff: pod x: no image"
    assert condition_of(status, "ClusterReady").reason == "ImagePullBackOff"


def test_images_are_told_by_digest(build: Any) -> None:
    pods = (build.pod("head", image="t@sha256:1"), build.pod("all", image="t@sha256:2"))
    status = decide(build.scene(pods=pods)).status
    assert status.resolved is not None
    assert status.resolved.images == {"head": "t@sha256:1", "all": "t@sha256:2"}


def test_every_finding_is_in_the_message(build: Any) -> None:
    findings = (
        Finding(Reason.RUNTIME_NOT_FOUND, "no runtime"),
        Finding(Reason.INVALID_SPEC, "spec.x is wrong"),
    )
    fresh: dict[str, Any] = {"attempt": None, "rayCluster": None, "conditions": []}
    status = decide(build.scene(status=fresh, findings=findings, resolved=None)).status
    validated = condition_of(status, "Validated")
    assert (validated.status, validated.reason) == ("False", "RuntimeNotFound")
    assert validated.message == "no runtime; spec.x is wrong"
    assert status.phase == "Pending"


def test_findings_after_the_first_attempt_change_nothing(build: Any) -> None:
    status = decide(build.scene(findings=(Finding(Reason.RUNTIME_NOT_FOUND, "gone"),))).status
    assert condition_of(status, "Validated").status == "True"


def test_numbers_of_a_run_that_goes_on_are_no_transition(build: Any) -> None:
    old = decide(build.scene()).status
    new = decide(build.scene(progress=build.progress(step=4, metrics={"reward/mean": 0.3}))).status
    assert old != new
    assert not is_transition(old, new)


def test_first_progress_phases_and_checkpoints_are_transitions(build: Any) -> None:
    quiet = decide(build.scene(progress=None)).status
    assert is_transition(quiet, decide(build.scene()).status)
    lost = decide(build.scene(driver=None, silence="timeout", progress=None)).status
    assert is_transition(quiet, lost)


def test_a_step_can_not_write_a_status_that_breaks_its_rules(build: Any) -> None:
    status = build.scene().status
    with pytest.raises(ValidationError):
        StatusChanges(restarts=-1).applied_to(status)
    with pytest.raises(ValidationError):
        status.changed(restart=1)
    assert StatusChanges(restarts=2).applied_to(status).restarts == 2
    assert StatusChanges().applied_to(status) == status


def test_a_failed_act_keeps_what_was_written_before(build: Any) -> None:
    begun = build.attempt(submissionId=None)
    known = {"name": build.cluster_name, "uid": "cluster-1"}
    scene = build.scene(status={"attempt": begun, "rayCluster": known}, driver=None, progress=None)
    decision = decide(scene)
    failed = decision.status_on_failure("SubmitDriver: no agent")
    assert decision.status.attempt is not None
    assert decision.status.attempt.submission_id == "demo-1"
    assert failed.attempt is not None
    assert failed.attempt.submission_id is None
    assert condition_of(failed, "Running").message == "SubmitDriver: no agent"
    assert condition_of(failed, "ClusterReady").status == "True"
