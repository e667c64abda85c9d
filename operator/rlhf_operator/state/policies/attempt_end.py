"""What an attempt that ended leaves in the status: its end, its failure, the job's verdict."""

from dataclasses import replace

from openrlhf_core.spec.kinds.status import FailureStatus
from rlhf_operator.conditions import Reason
from rlhf_operator.state.policies.retry import End, Outcome
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import Activity, StatusChanges, Step, Verdict
from rlhf_operator.state.times import from_text, to_text

MAX_FAILURES = 5
MAX_COUNT = 2_147_483_647
MAX_MESSAGE = 1000


def conclude(situation: Situation, outcome: Outcome) -> Step:
    """Records the end of the live attempt. The next pass decides what follows from it."""
    changes = _ended(situation)
    if outcome.end is End.DONE:
        return _final(situation, changes, Verdict("Complete", Reason.DONE, outcome.message))
    if outcome.end is End.YIELDED:
        was_taken = outcome.reason == Reason.PREEMPTED
        preemptions = min(MAX_COUNT, situation.status.preemptions + was_taken)
        changes = replace(changes, preemptions=preemptions)
        return Step(Activity.RESTARTING, changes=changes, requeue_seconds=0)
    changes = replace(changes, failures=_with_failure(situation, outcome))
    if outcome.end is End.FATAL:
        verdict = Verdict("Failed", outcome.reason, shorten(outcome.message))
        return _final(situation, changes, verdict)
    return _retry_or_fail(situation, outcome, changes)


def shorten(text: str, length: int = MAX_MESSAGE) -> str:
    """The text without its middle when it is long: the start says what happened, the end why."""
    if len(text) <= length:
        return text
    return f"{text[: length // 4]} ... {text[-(length - length // 4 - 5) :]}"


def seconds_held(situation: Situation) -> float:
    """How long the live attempt has asked for or held pods: its age without the time in a queue."""
    attempt, queued = situation.attempt, situation.condition("Queued")
    if attempt is None or attempt.start_time is None or attempt.end_time is not None:
        return 0.0
    if queued is not None and queued.status == "True":
        return 0.0
    since = from_text(attempt.start_time)
    if queued is not None:
        since = max(since, from_text(queued.last_transition_time))
    return max(0.0, (situation.now - since).total_seconds())


def _retry_or_fail(situation: Situation, outcome: Outcome, changes: StatusChanges) -> Step:
    limit, used = situation.job.spec.lifecycle.backoff_limit, situation.status.restarts
    if used >= limit:
        tried = f" (after {used} of {limit} retries)" if limit else ""
        message = shorten(outcome.message, MAX_MESSAGE - len(tried)) + tried
        return _final(situation, changes, Verdict("Failed", outcome.reason, message))
    changes = replace(changes, restarts=used + 1)
    return Step(Activity.RESTARTING, changes=changes, requeue_seconds=0)


def _final(situation: Situation, changes: StatusChanges, verdict: Verdict) -> Step:
    changes = replace(changes, completion_time=to_text(situation.now))
    return Step(Activity.FINISHED, changes=changes, verdict=verdict, requeue_seconds=0)


def _ended(situation: Situation) -> StatusChanges:
    attempt = situation.attempt
    assert attempt is not None
    return StatusChanges(
        attempt=attempt.changed(end_time=to_text(situation.now)),
        active_seconds=min(
            MAX_COUNT, situation.status.active_seconds + int(seconds_held(situation))
        ),
    )


def _with_failure(situation: Situation, outcome: Outcome) -> tuple[FailureStatus, ...]:
    code = outcome.exit_code
    failure = FailureStatus(
        time=to_text(situation.now),
        reason=str(outcome.reason),
        exit_code=code if code is not None and abs(code) <= 255 else None,
        message=shorten(outcome.message),
    )
    return (*situation.status.failures, failure)[-MAX_FAILURES:]
