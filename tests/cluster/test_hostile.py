"""Heads that lie and owners who edit, on a real control plane with the real KubeRay: their jobs are
suspended and deleted all the same, other jobs do not notice, nobody else's objects are touched."""

import asyncio
import contextlib
import json
import time
from typing import Any

import pytest
from aiohttp import web

pytestmark = pytest.mark.cluster

GRACE = 5
LIFECYCLE = {"gracePeriodSeconds": GRACE, "backoffSeconds": 0}
SPARE = 30
POLICY = "no-statuses"


def said(path: str, body: Any, status: int = 200) -> Any:
    """A head that answers one path so."""

    async def behaviour(request: web.Request) -> web.StreamResponse | None:
        if request.path != path:
            return None
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(body=text, status=status, content_type="application/json")

    return behaviour


async def drip(request: web.Request) -> web.StreamResponse:
    """A byte in a while, on every path."""
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):  # the operator has hung up
        for _ in range(600):
            await response.write(b" ")
            await asyncio.sleep(0.5)
    return response


async def redirect(request: web.Request) -> web.StreamResponse:
    """To a path that nobody should ask."""
    if request.path == "/latest/meta-data":
        return web.Response(text="secret")
    raise web.HTTPFound(f"http://{request.host}/latest/meta-data")


def hostile_heads(heads: Any) -> dict[str, Any]:
    """By name of the job."""
    progress = heads.progress()

    def wrong(**fields: Any) -> Any:
        return said("/progress", progress | fields)

    path = "checkpoints/" + "x" * 2000
    return {
        "minus": wrong(step=-1),
        "eternal": wrong(estimatedRemainingSeconds=3e9),
        "wordy": wrong(metrics={"m" * 300: 1.0}),
        "long-path": wrong(checkpoint={"step": 1, "path": path, "time": 1.0}),
        "nested": said("/progress", b"[" * 200_000 + b"]" * 200_000),
        "flood": said("/progress", b"x" * 50_000_000),
        "no-number": said("/api/jobs/no-number-1", {"status": "RUNNING", "driver_exit_code": "a"}),
        "no-state": said("/api/jobs/no-state-1", {"status": ["RUNNING"]}),
        "a-list": said("/api/jobs/a-list-1", [1, 2]),
        "drip": drip,
        "redirect": redirect,
    }


def submit(lab: Any, name: str) -> None:
    lab.submit(name, lifecycle=LIFECYCLE)


def phase_of(lab: Any, name: str) -> str:
    return str(lab.job(name).get("status", {}).get("phase"))


def delete_all(lab: Any, seconds: float = 90) -> None:
    lab.kubectl("delete", "rlhfjob", "--all", "--wait=false")
    lab.wait("no job", lambda: not lab.listed("rlhfjob"), seconds)
    lab.wait("no cluster", lambda: not lab.listed("raycluster"), seconds)


def test_35_hostile_heads_are_suspended_and_deleted_within_grace_and_spare(answered: Any) -> None:
    lab, heads = answered.cluster, answered.heads
    behaviours = hostile_heads(heads)
    heads.behaviours |= behaviours
    for name in behaviours:
        submit(lab, name)
    lab.wait("submitted", lambda: len(heads.jobs) >= 6, 90)
    told = ("minus", "eternal", "wordy", "long-path", "flood", "no-number")
    for name in told:
        lab.wait(f"{name} is told", lambda n=name: lab.condition(n, "Degraded")[0] == "True")
        assert phase_of(lab, name) == "Running", name
    for name in ("drip", "redirect", "no-state", "a-list"):
        assert lab.condition(name, "Running")[0] != "True", name
    began = time.monotonic()
    for name in behaviours:
        lab.kubectl("patch", "rlhfjob", name, "--type=merge", '-p={"spec":{"suspend":true}}')
    lab.wait(
        "all suspended",
        lambda: all(phase_of(lab, name) == "Suspended" for name in behaviours),
        GRACE + SPARE + 60,
    )
    assert lab.listed("raycluster") == []
    print(f"suspended {len(behaviours)} hostile jobs in {time.monotonic() - began:.0f} s")
    assert not [path for path in heads.requests if "meta-data" in path]
    for name in behaviours:
        lab.kubectl("patch", "rlhfjob", name, "--type=merge", '-p={"spec":{"suspend":false}}')
    lab.wait("they run again", lambda: phase_of(lab, "minus") == "Running", 90)
    delete_all(lab, GRACE + SPARE + 60)


def test_36_slow_heads_do_not_hold_up_an_honest_job(answered: Any) -> None:
    lab, heads = answered.cluster, answered.heads
    slow = [f"slow-{number}" for number in range(12)]
    for name in slow:
        heads.behaviours[name] = drip
        submit(lab, name)
    lab.wait("all ready", lambda: len(lab.listed("raycluster")) == len(slow), 90)
    lab.wait(
        "all are asked",
        lambda: all(any(path.startswith(name) for path in heads.requests) for name in slow),
        90,
    )
    began = time.monotonic()
    submit(lab, "honest")
    lab.wait("honest runs", lambda: phase_of(lab, "honest") == "Running", 60)
    print(f"an honest job among {len(slow)} slow ones ran after {time.monotonic() - began:.0f} s")
    delete_all(lab, GRACE + SPARE + 60)


def edit_status(lab: Any, name: str, **fields: Any) -> None:
    patch = json.dumps({"status": fields})
    lab.kubectl("patch", "rlhfjob", name, "--subresource=status", "--type=merge", f"-p={patch}")


def test_37_a_status_that_names_another_jobs_cluster_hurts_nobody(answered: Any) -> None:
    lab, heads = answered.cluster, answered.heads
    for name in ("thief", "victim"):
        submit(lab, name)
        lab.wait(f"{name} runs", lambda n=name: phase_of(lab, n) == "Running", 90)
    (theirs,) = lab.listed("raycluster", "openrlhf.io/job=victim")
    stolen = {"name": theirs["metadata"]["name"], "uid": theirs["metadata"]["uid"]}
    asked = len([path for path in heads.requests if "thief-1" in path and "victim" in path])
    lab.kubectl("label", "raycluster", stolen["name"], "openrlhf.io/job=thief", "--overwrite")
    edit_status(lab, "thief", rayCluster=stolen, attempt={"rayClusterName": stolen["name"]})
    lab.kubectl("patch", "rlhfjob", "thief", "--type=merge", '-p={"spec":{"suspend":true}}')
    lab.wait("thief is suspended", lambda: phase_of(lab, "thief") == "Suspended", 90)
    lab.kubectl("delete", "rlhfjob", "thief", "--timeout=60s")
    still = lab.get("raycluster", stolen["name"])
    assert still is not None
    assert "deletionTimestamp" not in still["metadata"]
    again = len([path for path in heads.requests if "thief-1" in path and "victim" in path])
    assert again == asked
    delete_all(lab)


def policy(expression: str) -> list[dict[str, Any]]:
    """A rule of the cluster about statuses of jobs."""
    rule = {"apiGroups": ["openrlhf.io"], "apiVersions": ["*"], "operations": ["UPDATE"]}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule | {"resources": ["rlhfjobs/status"]}]},
        "validations": [{"expression": expression, "message": "not in this cluster"}],
    }
    api = "admissionregistration.k8s.io/v1"
    binding = {"policyName": POLICY, "validationActions": ["Deny"]}
    return [
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": POLICY},
            "spec": spec,
        },
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": POLICY},
            "spec": binding,
        },
    ]


def forget_policy(lab: Any) -> None:
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        lab.kubectl("delete", kind, POLICY)


def test_38_a_status_that_is_refused_holds_up_neither_stop_nor_deletion(answered: Any) -> None:
    lab = answered.cluster
    for name in ("partly", "wholly", "deleted"):
        submit(lab, name)
        lab.wait(f"{name} runs", lambda n=name: phase_of(lab, n) == "Running", 90)
    lab.apply(*policy("!has(object.status) || !has(object.status.progress)"))
    try:
        lab.wait("said", lambda: lab.condition("partly", "Degraded")[1] == "StatusRefused", 60)
        assert "not in this cluster" in lab.condition("partly", "Degraded")[2]
        lab.kubectl("patch", "rlhfjob", "partly", "--type=merge", '-p={"spec":{"suspend":true}}')
        lab.wait("suspended", lambda: phase_of(lab, "partly") == "Suspended", 90)
        lab.apply(*policy("false"))
        time.sleep(2)  # the API server takes a policy up in a moment
        lab.kubectl("patch", "rlhfjob", "wholly", "--type=merge", '-p={"spec":{"suspend":true}}')
        lab.kubectl("delete", "rlhfjob", "deleted", "--timeout=90s")
        lab.wait("freed", lambda: not lab.listed("raycluster"), 90)
    finally:
        forget_policy(lab)
    lab.wait("written again", lambda: phase_of(lab, "wholly") == "Suspended", 90)
    delete_all(lab)


def test_39_the_longest_name_reaches_its_head(answered: Any) -> None:
    lab = answered.cluster
    name = "a" * 40
    submit(lab, name)
    lab.wait("runs", lambda: phase_of(lab, name) == "Running", 90)
    delete_all(lab)
