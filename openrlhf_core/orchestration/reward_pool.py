"""Python reward functions as a RewardSource: users' code in processes of its own.

Each folder of reward files has workers of its own, so that modules of one name in two folders do
not meet. Calls run side by side and each has a deadline; a worker that hangs or dies fails its
call alone and is replaced. The driver never blocks longer than POLL_SECONDS without asking whether
to stop.
"""

import logging
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ray

from openrlhf_core.orchestration.reward_slot import Finished, RewardCall, Slot
from openrlhf_core.orchestration.reward_worker import FunctionCode
from openrlhf_core.rewards.home import RewardHome
from openrlhf_core.rewards.requests import make_request, split_calls
from openrlhf_core.rewards.source import CheckStop, PartScores, Ticket
from openrlhf_core.samples import Rollout
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.reward import RewardFunctionSpec

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
MOST_WORKERS = 8


@dataclass
class Household:
    """The workers of one folder and the calls that wait for them."""

    slots: list[Slot]
    waiting: deque[RewardCall] = field(default_factory=deque)


@dataclass
class Progress:
    """What is known of one submission."""

    scores: list[list[float | None]]
    """[function][rollout]"""
    errors: list[str | None]
    """The first error of each function."""
    num_open: int
    """Calls without an answer."""


class RewardPool:
    """Implements RewardSource; each function is a part."""

    def __init__(
        self,
        functions: Sequence[RewardFunctionSpec],
        locator: Locator,
        num_workers: int | None = None,
        log_file: Path | None = None,
    ) -> None:
        """Starts the workers and returns at once; `wait_ready` tells how that went.

        What the user's code prints goes to `log_file`. ConfigurationError when code is not there.
        """
        self._functions = tuple(functions)
        homes = find_homes(
            [FunctionCode(locator.locate_code(f.source), f.entry) for f in functions]
        )
        count = num_workers or max(2, min(MOST_WORKERS, (os.cpu_count() or 1) // 2))
        each = max(min(count, 2), count // len(homes))
        log = None if log_file is None else str(log_file)
        self._households = [
            Household([Slot(home, numbered, log) for _ in range(each)])
            for home, numbered in homes.items()
        ]
        self._household_of = {
            number: household
            for household, numbered in zip(self._households, homes.values(), strict=True)
            for number in numbered
        }
        self._submitted: dict[Ticket, Progress] = {}
        self._next_ticket = 0

    def wait_ready(self, check_stop: CheckStop) -> None:
        """Returns when every worker holds the user's code; ConfigurationError when it cannot."""
        while loading := [slot for slot in self._slots if not slot.is_loaded]:
            check_stop()
            finished = self._wait()
            for slot in loading:
                error = slot.load_error(finished)
                if error is not None:
                    raise ConfigurationError(error)

    def submit(self, rollouts: Sequence[Rollout], queries: Sequence[str]) -> Ticket:
        """Begins to score, with the workers that are idle now."""
        ticket = self._next_ticket
        self._next_ticket += 1
        calls = self._calls(ticket, rollouts, queries)
        scores: list[list[float | None]] = [[None] * len(rollouts) for _ in self._functions]
        self._submitted[ticket] = Progress(scores, [None for _ in self._functions], len(calls))
        for call in calls:
            self._household_of[call.function].waiting.append(call)
        self._revive()
        self._hand_out()
        return ticket

    def collect(self, ticket: Ticket, check_stop: CheckStop) -> list[PartScores]:
        """Waits for the scores of one submission, while calls of others run too."""
        progress = self._submitted[ticket]
        try:
            while progress.num_open:
                check_stop()
                self._advance()
        finally:
            del self._submitted[ticket]
            if progress.num_open:
                self._give_up(ticket)
        columns = zip(self._functions, progress.scores, progress.errors, strict=True)
        return [PartScores(f.name, f.weight, column, error) for f, column, error in columns]

    def close(self) -> None:
        """Ends every worker."""
        for slot in self._slots:
            slot.kill()

    @property
    def _slots(self) -> list[Slot]:
        return [slot for household in self._households for slot in household.slots]

    def _calls(
        self, ticket: Ticket, rollouts: Sequence[Rollout], queries: Sequence[str]
    ) -> list[RewardCall]:
        return [
            RewardCall(
                ticket,
                number,
                part,
                make_request(rollouts[part.start : part.stop], queries[part.start : part.stop]),
                function.timeout_seconds,
            )
            for number, function in enumerate(self._functions)
            for part in split_calls(rollouts, function.batch_size)
        ]

    def _advance(self) -> None:
        """Hands out calls, waits a moment and takes what has come."""
        self._hand_out()
        finished = self._wait()
        for household in self._households:
            for slot in household.slots:
                self._take(slot, finished)
            if all(slot.is_gone for slot in household.slots):
                while household.waiting:
                    self._fail(household.waiting.popleft(), "no worker could import it again")

    def _hand_out(self) -> None:
        for household in self._households:
            for slot in household.slots:
                if household.waiting and slot.is_idle:
                    slot.give(household.waiting.popleft())

    def _wait(self) -> Finished:
        """Returns results that came within POLL_SECONDS, at least one if any did."""
        references = [slot.reference for slot in self._slots if slot.reference is not None]
        return ray.wait(references, timeout=POLL_SECONDS)[0] if references else []

    def _take(self, slot: Slot, finished: Finished) -> None:
        """Takes what a worker has to tell, or gives up on it when its time is over."""
        if not slot.is_loaded:
            self._take_load(slot, finished)
            return
        call = slot.call
        answer = None if call is None else slot.answer(finished)
        if call is None or answer is None:
            return
        if answer.scores is None:
            self._fail(call, answer.error or "no reason was given")
        elif call.ticket in self._submitted:
            progress = self._submitted[call.ticket]
            progress.scores[call.function][call.rollouts.start : call.rollouts.stop] = answer.scores
            progress.num_open -= 1

    def _take_load(self, slot: Slot, finished: Finished) -> None:
        error = None if slot.is_gone else slot.load_error(finished)
        if error is None:
            return
        logger.warning("a new reward worker failed: %s", error)
        slot.failed_loads += 1
        slot.kill() if slot.is_gone else slot.replace()

    def _fail(self, call: RewardCall, error: str) -> None:
        text = f"reward function {self._functions[call.function].name!r}: {error}"
        logger.warning("%s; its %d samples are masked", text, len(call.rollouts))
        if call.ticket in self._submitted:
            progress = self._submitted[call.ticket]
            progress.errors[call.function] = progress.errors[call.function] or text
            progress.num_open -= 1

    def _give_up(self, ticket: Ticket) -> None:
        """Forgets the calls of a submission; workers that are busy with one are replaced."""
        for household in self._households:
            kept = [call for call in household.waiting if call.ticket != ticket]
            household.waiting = deque(kept)
        for slot in self._slots:
            if slot.call is not None and slot.call.ticket == ticket:
                slot.replace()

    def _revive(self) -> None:
        """Lets workers that gave up importing try again: a new submission may find it repaired."""
        for slot in self._slots:
            if slot.is_gone:
                slot.failed_loads = 0
                slot.start()


def find_homes(functions: Sequence[FunctionCode]) -> dict[RewardHome, dict[int, FunctionCode]]:
    """Returns the functions, by number, of each folder; modules by name share one home."""
    homes: dict[RewardHome, dict[int, FunctionCode]] = {}
    for number, function in enumerate(functions):
        folder = str(function.code.parent) if isinstance(function.code, Path) else None
        homes.setdefault(RewardHome(folder, os.getcwd()), {})[number] = function
    return homes
