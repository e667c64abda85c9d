"""Which error ends a run when a worker's call fails."""

import pytest
from ray.exceptions import ActorDiedError, GetTimeoutError, NodeDiedError, RayTaskError

from openrlhf_core.orchestration.collect import rank_of, run_error
from openrlhf_core.spec.exit_codes import (
    CollectiveTimeout,
    ConfigurationError,
    NonFiniteError,
    OutOfMemory,
    ProgramError,
    RetryableError,
    RunError,
    WorkerLost,
)


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def task_error(cause: Exception) -> RayTaskError:
    """What Ray raises for a call in which `cause` was raised."""
    return RayTaskError("call", "Traceback ...", cause)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (task_error(NonFiniteError("step 3")), NonFiniteError),
        (task_error(CollectiveTimeout("weight sync")), CollectiveTimeout),
        (task_error(OutOfMemoryError("tried to allocate 2 GiB")), OutOfMemory),
        (task_error(MemoryError()), OutOfMemory),
        (task_error(KeyError("x")), ProgramError),
        (task_error(ImportError("no module")), ProgramError),
        (task_error(AssertionError()), ProgramError),
        (task_error(RuntimeError("Connection closed by peer")), RetryableError),
        (task_error(OSError(28, "No space left on device")), RetryableError),
        (ActorDiedError(), WorkerLost),
        (NodeDiedError("n"), WorkerLost),
        (GetTimeoutError("t"), CollectiveTimeout),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_a_failed_call_becomes_the_error_of_its_cause(
    error: Exception, kind: type[RunError]
) -> None:
    assert type(run_error("policy rank 1", error)) is kind


def test_the_worker_is_named() -> None:
    assert str(run_error("policy rank 1", NodeDiedError("n"))) == (
        "policy rank 1 is lost: its node is gone"
    )
    told = str(run_error("policy rank 1", task_error(KeyError("x"))))
    assert told == "policy rank 1 failed: KeyError: 'x'"


def test_the_error_that_says_what_is_wrong_explains_the_others() -> None:
    errors = [
        RetryableError("Connection closed by peer"),
        ProgramError("AssertionError"),
        WorkerLost("policy rank 1 is lost"),
        OutOfMemory("out of memory"),
        ConfigurationError("vLLM cannot run the model"),
    ]
    assert sorted(errors, key=rank_of) == errors[::-1]
