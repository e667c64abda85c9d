"""Errors that end a run, by the exit code that the retry policy reads.

RunError
├── ConfigurationError   2   the configuration, data or reward code is wrong: never retried
├── RetryableError      10   a worker is lost, a collective timed out, memory ran out
├── StopRequested       20   stopped on request
│   └── WorkAbandoned        the learner stopped between two micro-batches, its weights as before
└── NonFiniteError      30   a loss or gradient that the guard could not get past
"""


class RunError(Exception):
    """Ends a run; the message says what happened and how to mend it."""

    exit_code: int = 10


class ConfigurationError(RunError):
    """The configuration, data or reward code is wrong; trying again would fail alike."""

    exit_code = 2


class RetryableError(RunError):
    """Something was lost that another attempt may have."""

    exit_code = 10


class StopRequested(RunError):
    """A request to stop (SIGINT, SIGTERM, POST /stop) was seen."""

    exit_code = 20


class WorkAbandoned(StopRequested):
    """The learner left its work between two micro-batches, before it changed any weight."""


class NonFiniteError(RunError):
    """Loss or gradients were not finite several times in a row."""

    exit_code = 30
