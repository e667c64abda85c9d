"""Builders of jobs as the API server gives them."""

from typing import Any

import pytest


def make_job(name: str = "first", **status: Any) -> dict[str, Any]:
    """A job of namespace team-a, an hour old at 12:00, with this status."""
    return {
        "apiVersion": "openrlhf.io/v1alpha1",
        "kind": "RLHFJob",
        "metadata": {
            "name": name,
            "namespace": "team-a",
            "creationTimestamp": "2026-01-01T11:00:00Z",
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {"training": {"recipe": "RL", "rl": {"algorithm": "GRPO"}}},
        "status": status,
    }


@pytest.fixture
def running() -> dict[str, Any]:
    """A job in the midst of its run, as the operator writes it."""
    return make_job(
        phase="Running",
        conditions=[
            condition("Validated", "True", "Valid"),
            condition("ClusterReady", "True", "PodsReady"),
            condition("Running", "True", "DriverRunning", "step 12 of 80"),
        ],
        attempt={"number": 2, "submissionId": "first-2", "resumedFromStep": 10},
        restarts=1,
        groups=[{"name": "all", "desired": 1, "ready": 1}],
        progress={
            "step": 12,
            "totalSteps": 80,
            "percentage": 15,
            "tokensPerSecond": "11234.5",
            "estimatedRemainingSeconds": 140,
        },
        metrics=[
            {"name": "reward/mean", "value": "0.43219"},
            {"name": "kl/mean", "value": "0.0012"},
        ],
        checkpoints={
            "latest": {
                "step": 10,
                "path": "checkpoints/step-00000010",
                "time": "2026-01-01T11:50:00Z",
            },
            "count": 2,
        },
        output={"claimName": "first-output", "path": "first-0123abcd"},
        devices=1,
    )


def condition(name: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    """One condition that stands since 11:58."""
    return {
        "type": name,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T11:58:00Z",
    }


@pytest.fixture
def failed() -> dict[str, Any]:
    """A job that its driver ended with exit code 2."""
    return make_job(
        "broken",
        phase="Failed",
        conditions=[
            condition("Running", "False", "Finished"),
            condition("Failed", "True", "ConfigurationRejected", "exit code 2: no such column"),
        ],
        failures=[
            {
                "time": "2026-01-01T11:57:00Z",
                "reason": "ConfigurationRejected",
                "exitCode": 2,
                "message": "no such column [bold]",
            }
        ],
    )
