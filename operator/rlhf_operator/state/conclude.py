"""An outcome becomes the record of a finished attempt: retried, yielded, failed or complete."""

from typing import Any

from openrlhf_core.spec.kinds.status import FailureStatus
from rlhf_operator.conditions import Reason
from rlhf_operator.state.outcome import Kind, Outcome
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import Activity, Step, Verdict
from rlhf_operator.state.times import from_text, to_text

MAX_FAILURES = 5
MAX_MESSAGE = 1000


def conclude(situation: Situation, outcome: Outcome) -> Step:
    """The attempt is over. What comes next is decided when this is written down."""
    changes = _ended(situation)
    if outcome.kind is Kind.DONE:
        verdict = Verdict("Complete", Reason.DONE, outcome.message)
        return _final(situation, changes, verdict)
    if outcome.kind is Kind.YIELDED:
        was_taken = outcome.reason == Reason.PREEMPTED
        changes["preemptions"] = situation.status.preemptions + was_taken
        return Step(Activity.RESTARTING, changes=changes, requeue_seconds=0)
    changes["failures"] = _with_failure(situation, outcome)
    if outcome.kind is Kind.FATAL:
        verdict = Verdict("Failed", outcome.reason, shorten(outcome.message))
        return _final(situation, changes, verdict)
    return _retry_or_fail(situation, outcome, changes)


def shorten(text: str, length: int = MAX_MESSAGE) -> str:
    """The text, its middle left out when it is long: the head says what, the tail says why."""
    if len(text) <= length:
        return text
    return f"{text[: length // 4]} ... {text[-(length - length // 4 - 5) :]}"


def _retry_or_fail(situation: Situation, outcome: Outcome, changes: dict[str, Any]) -> Step:
    limit, used = situation.job.spec.lifecycle.backoff_limit, situation.status.restarts
    if used >= limit:
        tried = f" (after {used} of {limit} retries)" if limit else ""
        message = shorten(outcome.message, MAX_MESSAGE - len(tried)) + tried
        return _final(situation, changes, Verdict("Failed", outcome.reason, message))
    changes["restarts"] = used + 1
    return Step(Activity.RESTARTING, changes=changes, requeue_seconds=0)


def _final(situation: Situation, changes: dict[str, Any], verdict: Verdict) -> Step:
    changes["completion_time"] = to_text(situation.now)
    return Step(Activity.FINISHED, changes=changes, verdict=verdict, requeue_seconds=0)


def _ended(situation: Situation) -> dict[str, Any]:
    attempt = situation.attempt
    assert attempt is not None
    ended = attempt.model_copy(update={"end_time": to_text(situation.now)})
    held = situation.status.active_seconds + int(seconds_held(situation))
    return {"attempt": ended, "active_seconds": held}


def _with_failure(situation: Situation, outcome: Outcome) -> tuple[FailureStatus, ...]:
    code = outcome.exit_code
    failure = FailureStatus(
        time=to_text(situation.now),
        reason=str(outcome.reason),
        exit_code=code if code is not None and abs(code) <= 255 else None,
        message=shorten(outcome.message),
    )
    return (*situation.status.failures, failure)[-MAX_FAILURES:]


def seconds_held(situation: Situation) -> float:
    """How long the live attempt has asked for or held pods: its age, without time in a queue."""
    attempt, queued = situation.attempt, situation.condition("Queued")
    if attempt is None or attempt.start_time is None or attempt.end_time is not None:
        return 0.0
    if queued is not None and queued.status == "True":
        return 0.0
    since = from_text(attempt.start_time)
    if queued is not None:
        since = max(since, from_text(queued.last_transition_time))
    return max(0.0, (situation.now - since).total_seconds())
