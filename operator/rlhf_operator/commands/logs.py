"""`rlhf logs`: the driver's log, or what the processes of a worker group printed."""

import threading
from collections.abc import Callable, Iterator
from queue import Queue

from openrlhf_core.spec.exit_codes import ConfigurationError
from rlhf_operator.commands.cluster import Cluster
from rlhf_operator.commands.job_view import JobView
from rlhf_operator.commands.pods import Pod, container_log, pods_of, run_in
from rlhf_operator.names import HEAD_GROUP

RAY_LOGS = "/tmp/ray/session_latest/logs"

Write = Callable[[str], object]


def driver_log(cluster: Cluster, name: str, *, tail: int, follow: bool) -> Iterator[str]:
    """Lines of the running attempt's driver. ConfigurationError when no attempt runs."""
    job = JobView.of(cluster.job(name))
    attempt = job.status.attempt
    heads = [pod for pod in pods_of(cluster, name) if pod.group == HEAD_GROUP]
    if attempt is None or attempt.submission_id is None or not heads:
        raise ConfigurationError(_no_driver(job))
    file = f"{RAY_LOGS}/job-driver-{attempt.submission_id}.log"
    return run_in(cluster, heads[0], tail_command([file], tail=tail, follow=follow))


def group_log(
    cluster: Cluster, name: str, group: str, *, tail: int, follow: bool, write: Write
) -> None:
    """Writes lines of every pod of a worker group, each after its pod's name.

    A pod whose container runs gives what its learners and engines printed; another one gives the
    container's own log, after the reason why it does not run.
    """
    pods = pods_of(cluster, name, group)
    if not follow:
        for pod in pods:
            for line in _pod_lines(cluster, pod, tail=tail, follow=False):
                write(f"[{pod.name}] {line}")
        return
    queue: Queue[str] = Queue()
    for pod in pods:
        threading.Thread(
            target=_pump, args=(cluster, pod, tail, queue.put), name=pod.name, daemon=True
        ).start()
    while True:
        write(queue.get())


def _pump(cluster: Cluster, pod: Pod, tail: int, write: Write) -> None:
    try:
        for line in _pod_lines(cluster, pod, tail=tail, follow=True):
            write(f"[{pod.name}] {line}")
        write(f"[{pod.name}] (ended)")
    except ConfigurationError as fault:
        write(f"[{pod.name}] ({fault})")


def _pod_lines(cluster: Cluster, pod: Pod, *, tail: int, follow: bool) -> Iterator[str]:
    if pod.trouble:
        yield f"({pod.phase}: {pod.trouble})"
    if pod.phase == "Pending":
        return
    if pod.phase != "Running" or not pod.is_ready or pod.group == HEAD_GROUP:
        yield from container_log(cluster, pod, tail=tail, follow=follow)
        return
    files = [f"{RAY_LOGS}/worker-*.out", f"{RAY_LOGS}/worker-*.err"]
    yield from run_in(cluster, pod, tail_command(files, tail=tail, follow=follow))


def tail_command(patterns: list[str], *, tail: int, follow: bool) -> list[str]:
    """A shell command, because the file names are patterns; a name that is not there is passed."""
    options = f"-q -n {tail}" + (" -F" if follow else "")
    return ["sh", "-c", f"tail {options} {' '.join(patterns)} 2>/dev/null || true"]


def _no_driver(job: JobView) -> str:
    output = job.status.output
    if job.outcome and output:
        return (
            f"{job.name} has ended ({job.phase}) and its pods are gone; its log is in "
            f"{output.path}/logs of claim {output.claim_name}, the last lines of a failure in "
            f"`rlhf status {job.name}`"
        )
    return f"{job.name} has no driver yet ({job.phase}); `rlhf status {job.name}` says why"
