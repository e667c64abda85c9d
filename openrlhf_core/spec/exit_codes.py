"""How a run ends: exit codes, causes, and the error classes that carry both.

RunError
├── ConfigurationError   2   the configuration, data or reward code is wrong: never retried
│   └── ProgramError         code failed in a way that another attempt would meet again
├── RetryableError      10   something unforeseen that another attempt may not meet
│   ├── WorkerLost           a worker process or its node died
│   ├── OutOfMemory          a worker was killed for memory, or could not allocate
│   └── CollectiveTimeout    workers did not answer each other in time
├── StopRequested       20   stopped on request
│   └── WorkAbandoned        the learner stopped between two micro-batches, its weights as before
└── NonFiniteError      30   a loss or gradient that the guard could not get past

`rlhf_operator.state.policies.retry` says what follows from each exit code on a cluster.
"""

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """Exit codes of the driver; any other is treated as RETRYABLE."""

    DONE = 0
    CONFIGURATION = 2
    RETRYABLE = 10
    STOPPED = 20
    NON_FINITE = 30
    INTERRUPTED = 130
    """A second SIGINT ended the process at once."""


class Cause(StrEnum):
    """Why a run ended before it was done."""

    CONFIGURATION = "Configuration"
    WORKER_LOST = "WorkerLost"
    OUT_OF_MEMORY = "OutOfMemory"
    COLLECTIVE_TIMEOUT = "CollectiveTimeout"
    NON_FINITE = "NonFinite"
    STOPPED = "Stopped"
    UNFORESEEN = "Unforeseen"


class RunError(Exception):
    """Ends a run; the message says what happened and how to fix it."""

    exit_code: int = ExitCode.RETRYABLE
    cause: Cause = Cause.UNFORESEEN


class ConfigurationError(RunError):
    """The configuration, data or reward code is wrong; another attempt would fail in the same
    way."""

    exit_code = ExitCode.CONFIGURATION
    cause = Cause.CONFIGURATION


class ProgramError(ConfigurationError):
    """Our code or a library's failed in a way that does not depend on luck."""

    cause = Cause.UNFORESEEN


class RetryableError(RunError):
    """Something failed that may work in another attempt."""


class WorkerLost(RetryableError):
    """A worker process or its node died."""

    cause = Cause.WORKER_LOST


class OutOfMemory(RetryableError):
    """A worker was killed for memory, or could not allocate what it needed."""

    cause = Cause.OUT_OF_MEMORY


class CollectiveTimeout(RetryableError):
    """Workers did not answer each other, or the driver, in time."""

    cause = Cause.COLLECTIVE_TIMEOUT


class StopRequested(RunError):
    """A request to stop (SIGINT, SIGTERM, POST /stop) was seen."""

    exit_code = ExitCode.STOPPED
    cause = Cause.STOPPED


class WorkAbandoned(StopRequested):
    """The learner left its work between two micro-batches, before it changed any weight."""


class NonFiniteError(RunError):
    """Loss or gradients were not finite several times in a row."""

    exit_code = ExitCode.NON_FINITE
    cause = Cause.NON_FINITE


NOT_LUCK = (
    ImportError,
    ValueError,
    TypeError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    NotImplementedError,
)
"""What code raises again for the same input; a lost peer, file or device raises other errors."""


def unforeseen_error(error: BaseException | None, message: str) -> RunError:
    """Returns the error that ends a run after one that nobody foresaw."""
    return ProgramError(message) if isinstance(error, NOT_LUCK) else RetryableError(message)
