"""The table: a situation on the left, what is done about it on the right."""

from typing import Any

import pytest

from rlhf_operator.state.decide import decide
from rlhf_operator.state.observed import Cluster, Driver, Trouble
from rlhf_operator.state.step import (
    CreateCluster,
    DeleteCluster,
    DeleteJob,
    DeleteWorkers,
    EnsureFinalizer,
    PrepareChildren,
    RemoveFinalizer,
    RemovePolicy,
    StopDriver,
    SubmitDriver,
)

NAME = "demo-0f1e2-1"
OURS = Cluster(NAME, "cluster-1")
QUEUED = Cluster(NAME, "cluster-1", is_suspended=True)
OLD = Cluster("demo-0f1e2-0", "cluster-0")
DELETE = DeleteCluster(NAME, "cluster-1")
STOP = StopDriver(NAME, "demo-1")
FRESH: dict[str, Any] = {"attempt": None, "rayCluster": None, "conditions": []}
GONE: dict[str, Any] = {"cluster": None, "pods": (), "driver": None, "progress": None}
UNSEEN: dict[str, Any] = GONE | {"was_asked": False}
UNSUBMITTED = {"driver": None, "progress": None, "was_asked": False}
DONE = [
    {
        "type": "Complete",
        "status": "True",
        "reason": "Done",
        "lastTransitionTime": "2026-11-22T11:59:00Z",
    }
]
FAILED = [DONE[0] | {"type": "Failed", "reason": "DriverFailed"}]
BEGUN = {"number": 1, "rayClusterName": NAME, "startTime": "2026-11-22T11:58:20Z"}
BEFORE = {"attempt": BEGUN, "rayCluster": {"name": NAME, "uid": "cluster-1"}}
"""A cluster that was made, and no driver yet."""
ENDED = BEGUN | {"submissionId": "demo-1", "endTime": "2026-11-22T11:59:00Z"}
STOPPING = {**BEGUN, "submissionId": "demo-1", "stopReason": "Suspended"}

TABLE: list[tuple[str, dict[str, Any], tuple[Any, ...], str, dict[str, str]]] = [
    # name, changes of a running job, acts, phase, conditions as "status reason"
    ("new", {"status": FRESH, **UNSEEN}, (EnsureFinalizer(),), "Starting", {"Validated": "True"}),
    (
        "begun, nothing made",
        {"status": {"attempt": BEGUN, "rayCluster": {"name": NAME}}, **UNSEEN},
        (PrepareChildren(), CreateCluster(NAME)),
        "Starting",
        {"ClusterReady": "False Creating"},
    ),
    (
        "begun, an older cluster is left",
        {
            "status": {"attempt": BEGUN, "rayCluster": {"name": NAME}},
            **UNSEEN,
            "other_clusters": (OLD,),
        },
        (DeleteCluster("demo-0f1e2-0", "cluster-0"),),
        "Starting",
        {},
    ),
    (
        "pods not ready",
        {"status": BEFORE, "pods": (), **UNSUBMITTED},
        (),
        "Starting",
        {"ClusterReady": "False PodsNotReady"},
    ),
    (
        "queued",
        {"status": BEFORE, "pods": (), "cluster": QUEUED, **UNSUBMITTED},
        (),
        "Queued",
        {"Queued": "True WaitingForQuota"},
    ),
    (
        "ready",
        {"status": BEFORE, **UNSUBMITTED},
        (SubmitDriver(NAME, 1, "demo-1"),),
        "Starting",
        {"ClusterReady": "True PodsReady"},
    ),
    ("running", {}, (), "Running", {"Running": "True DriverRunning"}),
    (
        "silent head",
        {"driver": None, "progress": None, "silence": "timeout"},
        (),
        "Running",
        {"Running": "Unknown ClusterUnreachable"},
    ),
    ("done", {"driver": Driver("SUCCEEDED", 0)}, (), "Succeeded", {"Complete": "True Done"}),
    (
        "wrong configuration",
        {"driver": Driver("FAILED", 2, last_lines="no column 'label'")},
        (),
        "Failed",
        {"Failed": "True ConfigurationRejected"},
    ),
    ("not finite", {"driver": Driver("FAILED", 30)}, (), "Failed", {"Failed": "True NonFinite"}),
    ("retryable", {"driver": Driver("FAILED", 10)}, (), "Restarting", {"Failed": "False"}),
    ("any other exit", {"driver": Driver("FAILED", 1)}, (), "Restarting", {}),
    (
        "no retry left",
        {"driver": Driver("FAILED", 1), "spec": {"lifecycle": {"backoffLimit": 0}}},
        (),
        "Failed",
        {"Failed": "True DriverFailed"},
    ),
    ("stopped by others", {"driver": Driver("STOPPED")}, (), "Restarting", {}),
    ("cluster gone", GONE, (), "Restarting", {}),
    ("job unknown to its head", {"driver": None}, (), "Restarting", {}),
    (
        "suspend",
        {"spec": {"suspend": True}},
        (),
        "Running",
        {"Running": "False Stopping", "Suspended": "False Suspending"},
    ),
    (
        "suspending",
        {
            "spec": {"suspend": True},
            "status": {"attempt": STOPPING | {"stopTime": "2026-11-22T11:59:50Z"}},
        },
        (STOP,),
        "Running",
        {},
    ),
    (
        "suspending in vain",
        {
            "spec": {"suspend": True},
            "status": {"attempt": STOPPING | {"stopTime": "2026-11-22T11:50:00Z"}},
        },
        (DELETE,),
        "Running",
        {},
    ),
    (
        "stopped for suspension",
        {
            "spec": {"suspend": True},
            "driver": Driver("STOPPED"),
            "status": {"attempt": STOPPING | {"stopTime": "2026-11-22T11:59:50Z"}},
        },
        (),
        "Restarting",
        {"Failed": "False"},
    ),
    (
        "suspended, pods left",
        {"spec": {"suspend": True}, "status": {"attempt": ENDED}, "driver": None},
        (DELETE,),
        "Running",
        {},
    ),
    (
        "suspended",
        {"spec": {"suspend": True}, "status": {"attempt": ENDED}, **GONE, "has_policy": True},
        (RemovePolicy(),),
        "Suspended",
        {"Suspended": "True Suspended"},
    ),
    (
        "created suspended",
        {"spec": {"suspend": True}, "status": FRESH, **UNSEEN},
        (),
        "Suspended",
        {"Validated": "True", "Suspended": "True"},
    ),
    (
        "complete, cluster left",
        {"status": {"attempt": ENDED, "conditions": DONE}, "driver": None},
        (DELETE,),
        "Succeeded",
        {"Complete": "True Done"},
    ),
    (
        "failed, keep the head",
        {
            "status": {"attempt": ENDED, "conditions": FAILED},
            "spec": {"lifecycle": {"cleanup": {"onFailure": "DeleteWorkers"}}},
        },
        (DeleteWorkers(NAME),),
        "Failed",
        {},
    ),
    (
        "complete, policy left",
        {"status": {"attempt": ENDED, "conditions": DONE}, **GONE, "has_policy": True},
        (RemovePolicy(),),
        "Succeeded",
        {},
    ),
    (
        "complete, clean",
        {"status": {"attempt": ENDED, "conditions": DONE}, **GONE},
        (),
        "Succeeded",
        {"ClusterReady": "False NoAttempt"},
    ),
    (
        "complete, time to live over",
        {
            "status": {
                "attempt": ENDED,
                "conditions": DONE,
                "completionTime": "2026-11-22T11:59:00Z",
            },
            "spec": {"lifecycle": {"ttlSecondsAfterFinished": 60}},
            **GONE,
        },
        (DeleteJob(),),
        "Succeeded",
        {},
    ),
    (
        "deleted while running",
        {"metadata": {"deletionTimestamp": "2026-11-22T11:59:59Z"}},
        (STOP,),
        "Running",
        {},
    ),
    (
        "deleted, driver hangs",
        {"metadata": {"deletionTimestamp": "2026-11-22T11:50:00Z"}},
        (DELETE, RemoveFinalizer()),
        "Running",
        {},
    ),
    (
        "deleted, dashboard dead",
        {
            "metadata": {"deletionTimestamp": "2026-11-22T11:59:59Z"},
            "driver": None,
            "silence": "timeout",
        },
        (DELETE, RemoveFinalizer()),
        "Running",
        {},
    ),
    (
        "deadline",
        {"spec": {"lifecycle": {"activeDeadlineSeconds": 90}}},
        (),
        "Running",
        {"Running": "False Stopping"},
    ),
    (
        "deadline before the driver was submitted",
        {"status": BEFORE, **UNSUBMITTED, "spec": {"lifecycle": {"activeDeadlineSeconds": 90}}},
        (),
        "Starting",
        {"Running": "False StoppingBeforeStart"},
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_a_situation_is_answered_as_the_table_says(build: Any, row: Any) -> None:
    _, changes, acts, phase, conditions = row
    decision = decide(build.scene(**changes))
    said = {c.type: f"{c.status} {c.reason}" for c in decision.status.conditions}
    assert decision.acts == acts
    assert decision.status.phase == phase
    for name, words in conditions.items():
        assert said[name].startswith(words), (name, said[name])


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_every_status_says_every_condition_and_fits_its_schema(build: Any, row: Any) -> None:
    status = decide(build.scene(**row[1])).status
    assert len(status.conditions) == 9
    assert type(status).from_manifest(status.to_manifest()) == status


def test_a_wrong_image_fails_the_job_at_its_startup_timeout(build: Any) -> None:
    trouble = Trouble("ImagePullBackOff", "pod x: no such image")
    changes: dict[str, Any] = {
        "spec": {"lifecycle": {"startupTimeoutSeconds": 50}},
        "pods": (build.pod("head", is_ready=False, trouble=trouble),),
        "driver": None,
        "was_asked": False,
    }
    begun = build.attempt(submissionId=None)
    waiting = [build.condition("Running", "False", "Starting").to_manifest()]
    first = decide(build.scene(status={"attempt": begun, "conditions": waiting}, **changes))
    assert first.status.attempt is not None
    assert first.status.attempt.stop_reason == "ImagePullBackOff"
    stopped = first.status.to_manifest()
    last = decide(build.scene(status=stopped, **(changes | GONE)))
    failed = next(c for c in last.status.conditions if c.type == "Failed")
    assert (failed.status, failed.reason) == ("True", "ImagePullBackOff")
    assert "no such image" in failed.message


def test_a_stalled_attempt_is_stopped_and_says_so(build: Any) -> None:
    scene = build.scene(
        spec={"lifecycle": {"progressDeadlineSeconds": 30}},
        progress=build.progress(last_update_time=build.now.timestamp() - 31),
    )
    status = decide(scene).status
    assert status.attempt is not None
    assert status.attempt.stop_reason == "Stalled"
    stalled = next(c for c in status.conditions if c.type == "Stalled")
    assert stalled.status == "True"
    assert "after step 3" in stalled.message
