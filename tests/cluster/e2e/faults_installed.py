"""Scenarios: the installation itself changes: an upgrade in the midst of a run, a narrower one."""

import json

from bench import Bench, never_two_drivers
from following import Timeline, follow, has_ended, is_true, told
from installation import CHART, RELEASE, operator_log
from lab_cluster import SYSTEM_NAMESPACE, CheckFailed

BREAK_AT = 25
ELSEWHERE = "elsewhere"


def upgrade(bench: Bench, name: str) -> str:
    """The chart is upgraded in the midst of a run: the job is adopted, not submitted again."""
    timeline = Timeline()
    bench.start(bench.job(name))
    bench.running(name, BREAK_AT, timeline)
    with never_two_drivers():
        bench.cluster.kubectl("-n", SYSTEM_NAMESPACE, "rollout", "restart", f"deployment/{RELEASE}")
        job = bench.completes(name, timeline)
    return told(job, timeline, f"attempt {job['status']['attempt']['number']}")


def namespaced(bench: Bench, name: str) -> str:
    """Installed for one namespace, with rights there only: a job elsewhere is left alone."""
    bench.cluster.kubectl("create", "namespace", ELSEWHERE)
    _watch(bench, ["default"])
    try:
        job = bench.job(name, training={"maxSteps": 5})
        bench.cluster.apply(job, ELSEWHERE)
        bench.start(job)
        ended = follow(bench.cluster, name, 300, has_ended)
        if not is_true(ended, "Complete"):
            raise CheckFailed("the job of the watched namespace did not complete")
        other = bench.cluster.get("rlhfjob", name, ELSEWHERE) or {}
        if other.get("status") or other["metadata"].get("finalizers"):
            raise CheckFailed(f"the job elsewhere was touched: {other}")
        refused = [line for line in operator_log(bench.cluster).splitlines() if "orbidden" in line]
        if refused:
            raise CheckFailed(f"the operator asked for what its role does not hold: {refused[0]}")
    finally:
        # In this order: an operator that sees the job elsewhere begins it.
        bench.cluster.kubectl("delete", "namespace", ELSEWHERE, "--timeout=60s")
        _watch(bench, [])
    return "Complete in its namespace; no status, finalizer or cluster elsewhere; nothing Forbidden"


def _watch(bench: Bench, namespaces: list[str]) -> None:
    """The release, looking after these namespaces; none are all."""
    values = ["--reuse-values", "--set-json", f"watch.namespaces={json.dumps(namespaces)}"]
    options = ["--namespace", SYSTEM_NAMESPACE, "--wait", "--timeout=100s"]
    bench.cluster.helm("upgrade", RELEASE, CHART, *options, *values)
