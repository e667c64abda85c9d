"""Waiting for calls on a real Ray: the error that explains a failure is the one that is raised."""

import time
from typing import Any

import pytest
import ray
from ray_lab import local_ray  # noqa: F401 - starts Ray

from openrlhf_core.orchestration.collect import CAUSE_SECONDS, Call, make_collect
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError, WorkerLost
from openrlhf_core.stop import StopFlag


class Worker:
    """Does what a test asks for."""

    def answer(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def fail(self, seconds: float, error: Exception) -> None:
        time.sleep(seconds)
        raise error

    def die(self) -> None:
        ray.actor.exit_actor()


def start_worker() -> Any:
    return ray.remote(Worker).options(num_cpus=0).remote()


def collect(*references: ray.ObjectRef) -> list[object]:
    calls = [Call(f"worker {i}", reference) for i, reference in enumerate(references)]
    return make_collect(StopFlag(60.0))(calls)


@pytest.fixture(scope="module")
def workers() -> list[Any]:
    made = [start_worker() for _ in range(3)]
    ray.get([worker.answer.remote(0) for worker in made])
    return made


def test_results_come_in_the_order_of_the_calls(workers):
    delays = [0.3, 0.0, 0.1]
    assert collect(*(w.answer.remote(d) for w, d in zip(workers, delays, strict=True))) == delays


def test_a_configuration_error_that_comes_later_explains_the_first_failure(workers):
    lost_peer = workers[0].fail.remote(0, RuntimeError("Connection closed by peer"))
    cause = workers[1].fail.remote(1, ConfigurationError("vLLM cannot run the model"))
    with pytest.raises(ConfigurationError, match="vLLM cannot run"):
        collect(lost_peer, cause)


def test_a_configuration_error_waits_for_nobody(workers):
    began = time.monotonic()
    cause = workers[0].fail.remote(0, ConfigurationError("wrong"))
    with pytest.raises(ConfigurationError):
        collect(cause, workers[1].answer.remote(CAUSE_SECONDS + 5))
    assert time.monotonic() - began < CAUSE_SECONDS
    ray.get(workers[0].answer.remote(0))


def test_a_failure_is_raised_though_others_go_on(workers):
    began = time.monotonic()
    failed = workers[0].fail.remote(0, RuntimeError("no space"))
    with pytest.raises(RetryableError, match="worker 0 failed: RuntimeError: no space"):
        collect(failed, workers[2].answer.remote(CAUSE_SECONDS + 5))
    assert time.monotonic() - began < CAUSE_SECONDS + 4


def test_a_lost_worker_explains_what_its_peers_could_not_do():
    peer, lost = start_worker(), start_worker()
    failed = peer.fail.remote(0, AssertionError())
    with pytest.raises(WorkerLost, match="worker 1 is lost"):
        collect(failed, lost.die.remote())
