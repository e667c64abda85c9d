"""Scenarios: something is killed in the midst of a run, and the job completes all the same."""

import signal
import time

from bench import Bench, never_two_drivers, signal_driver
from following import Timeline, told
from lab_cluster import SYSTEM_NAMESPACE, CheckFailed, Manifest

BREAK_AT = 25
OPERATOR = "app.kubernetes.io/name=rlhf-operator"


def head_pod(bench: Bench, name: str) -> str:
    """The head pod is deleted by force: a new attempt, resumed from the newest checkpoint."""
    return _killed_pod(bench, name, "head", "--force", "--grace-period=0")


def worker_pod(bench: Bench, name: str) -> str:
    """A worker pod is deleted by force; its kubelet still runs the stop hook for two seconds."""
    return _killed_pod(bench, name, "worker", "--force", "--grace-period=0", is_counted=None)


def worker_killed(bench: Bench, name: str) -> str:
    """Every process of a worker pod gets SIGKILL, as in a crash: no stop hook runs."""
    timeline = Timeline()
    bench.start(bench.job(name))
    bench.running(name, BREAK_AT, timeline)
    with never_two_drivers():
        inside = ["-c", "ray", "--", "bash", "-c", "kill -9 -1"]
        bench.cluster.kubectl("exec", bench.pods(name, "worker")[0], *inside, check=False)
        job = bench.completes(name, timeline)
    if job["status"]["restarts"] != 1:
        raise CheckFailed(f"restarts is {job['status']['restarts']}")
    return told(job, timeline, f"{job['status']['failures'][-1]['reason']}")


def gentle_delete(bench: Bench, name: str) -> str:
    """A worker pod is deleted with its grace period, as an eviction does it: not a failure."""
    return _killed_pod(bench, name, "worker", "--wait=false", is_counted=False)


def gentle_head_delete(bench: Bench, name: str) -> str:
    """The head pod is deleted with its grace period."""
    return _killed_pod(bench, name, "head", "--wait=false", is_counted=False)


def driver(bench: Bench, name: str) -> str:
    """The driver gets SIGKILL: the next attempt runs on the same cluster."""
    timeline = Timeline()
    bench.start(bench.job(name))
    before = bench.running(name, BREAK_AT, timeline)
    with never_two_drivers():
        signal_driver(signal.SIGKILL)
        job = bench.completes(name, timeline)
    if _cluster_of(job) != _cluster_of(before):
        raise CheckFailed("a healthy cluster was thrown away")
    return told(job, timeline, "the same cluster")


def operator(bench: Bench, name: str) -> str:
    """The operator's pod is deleted by force: the run goes on, nothing is submitted twice."""
    timeline = Timeline()
    bench.start(bench.job(name))
    bench.running(name, BREAK_AT, timeline)
    options = ["-n", SYSTEM_NAMESPACE, "-l", OPERATOR, "--force", "--grace-period=0"]
    with never_two_drivers():
        bench.cluster.kubectl("delete", "pod", *options)
        job = bench.completes(name, timeline)
    if job["status"]["attempt"]["number"] != 1:
        raise CheckFailed(f"attempt {job['status']['attempt']['number']} after a new operator")
    return told(job, timeline, "one attempt")


def operator_while_starting(bench: Bench, name: str) -> str:
    """The operator is killed between creating the cluster and submitting: still one submission."""
    timeline = Timeline()
    bench.start(bench.job(name))
    options = ["-n", SYSTEM_NAMESPACE, "-l", OPERATOR, "--force", "--grace-period=0"]
    with never_two_drivers():
        for pause in (2.0, 6.0):
            time.sleep(pause)
            bench.cluster.kubectl("delete", "pod", *options)
        job = bench.completes(name, timeline)
    if job["status"]["attempt"]["number"] != 1:
        raise CheckFailed(f"attempt {job['status']['attempt']['number']}")
    return told(job, timeline, "one attempt")


def kuberay(bench: Bench, name: str) -> str:
    """KubeRay is away for ten seconds: the run does not notice."""
    timeline = Timeline()
    bench.start(bench.job(name))
    bench.running(name, BREAK_AT, timeline)
    bench.cluster.verb("kill", "kuberay")
    time.sleep(10)
    bench.cluster.verb("restart", "kuberay")
    job = bench.completes(name, timeline)
    return told(job, timeline, "KubeRay back after 10 s")


def _killed_pod(
    bench: Bench, name: str, node_type: str, *options: str, is_counted: bool | None = True
) -> str:
    timeline = Timeline()
    bench.start(bench.job(name))
    bench.running(name, BREAK_AT, timeline)
    with never_two_drivers():
        bench.cluster.kubectl("delete", "pod", bench.pods(name, node_type)[0], *options)
        job = bench.completes(name, timeline)
    if job["status"]["attempt"]["number"] < 2:
        raise CheckFailed("the status shows no second attempt")
    restarts, preemptions = job["status"]["restarts"], job["status"]["preemptions"]
    counts = f"restarts {restarts}, preemptions {preemptions}"
    if restarts + preemptions != 1 or is_counted not in (None, bool(restarts)):
        raise CheckFailed(counts)
    return told(job, timeline, counts)


def _cluster_of(job: Manifest) -> str:
    return str(job["status"]["attempt"]["rayClusterName"])
