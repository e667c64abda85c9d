"""Reward workers: users' code in processes of its own, beside engines and learners.

Calls run side by side; each has a deadline; a worker that hangs or dies fails its call and is
replaced. The driver never blocks longer than POLL_SECONDS without asking whether to stop.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from openrlhf_core.orchestration.reward_worker import FunctionCode, RewardWorker
from openrlhf_core.rewards.call import RewardAnswer, RewardRequest
from openrlhf_core.rewards.combine import PartScores, combine
from openrlhf_core.rewards.requests import make_request, split_calls
from openrlhf_core.samples import Rollout, ScoredRollout
from openrlhf_core.sources import Locator
from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.reward import RewardFunctionSpec

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
LOAD_SECONDS = 300.0
"""Importing the user's code takes no longer."""
LOAD_ATTEMPTS = 3
"""Replacements of one worker in a row that may fail to import."""

Finished = Sequence[Any]
"""References whose results are there."""
CheckStop = Callable[[], None]
"""Raises StopRequested when the run is to stop."""


@dataclass(frozen=True)
class RewardCall:
    """Some rollouts that one function scores at once."""

    function: int
    rollouts: range
    request: RewardRequest


class Slot:
    """The place of one worker: the process that fills it now, and what that is busy with."""

    def __init__(self, make_worker: Callable[[], Any], functions: Sequence[FunctionCode]) -> None:
        self._make_worker = make_worker
        self._functions = list(functions)
        self.call: RewardCall | None = None
        self.failed_loads = 0
        self.start()

    def start(self) -> None:
        """Begins a new process and its import of the user's code."""
        self._worker = self._make_worker()
        self.call = None
        self.is_loaded = False
        self.reference: Any = self._worker.load.remote(self._functions)
        self.deadline = time.monotonic() + LOAD_SECONDS

    def replace(self) -> None:
        """Kills the process and starts another."""
        self.kill()
        self.start()

    def kill(self) -> None:
        """Ends the process, whatever it does."""
        ray.kill(self._worker, no_restart=True)
        self.reference = None

    def give(self, call: RewardCall, timeout_seconds: float) -> None:
        """Sends a call to the idle worker."""
        self.call = call
        self.reference = self._worker.score.remote(call.function, call.request)
        self.deadline = time.monotonic() + timeout_seconds

    @property
    def is_idle(self) -> bool:
        return self.is_loaded and self.reference is None

    @property
    def is_late(self) -> bool:
        """Whether the time is over without a result; the driver may have been the late one."""
        if self.reference is None or time.monotonic() < self.deadline:
            return False
        return not ray.wait([self.reference], timeout=0)[0]

    @property
    def is_gone(self) -> bool:
        """Whether the user's code could not be imported again and again."""
        return self.failed_loads >= LOAD_ATTEMPTS


class RewardPool:
    """Workers that hold every reward function, and the calls that they are given."""

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
        code = [FunctionCode(locator.locate_code(f.source), f.entry) for f in functions]
        actor = ray.remote(RewardWorker).options(num_cpus=0)
        log = None if log_file is None else str(log_file)
        count = num_workers or max(2, min(8, (os.cpu_count() or 1) // 2))
        self._slots = [Slot(lambda: actor.remote(log), code) for _ in range(count)]
        self.last_error: str | None = None
        """The first error of the last `score`; None when no call failed."""

    def wait_ready(self, check_stop: CheckStop) -> None:
        """Returns when every worker holds the user's code; ConfigurationError when it cannot."""
        while loading := [slot for slot in self._slots if not slot.is_loaded]:
            check_stop()
            finished = self._wait()
            for slot in loading:
                error = self._load_error(slot, finished)
                if error is not None:
                    raise ConfigurationError(error)

    def score(
        self, rollouts: Sequence[Rollout], queries: Sequence[str], check_stop: CheckStop
    ) -> list[ScoredRollout]:
        """The rollouts with their scores, in order; a sample whose call failed has score None.

        `queries` are the full texts, prompt and completion. Raises what `check_stop` raises.
        """
        self.last_error = None
        scores: list[list[float | None]] = [[None] * len(rollouts) for _ in self._functions]
        waiting = deque(self._calls(rollouts, queries))
        self._renew()
        while waiting or any(slot.call for slot in self._slots):
            check_stop()
            self._hand_out(waiting)
            finished = self._wait()
            for slot in self._slots:
                self._collect(slot, finished, scores)
            if waiting and all(slot.is_gone for slot in self._slots):
                self._note(waiting[0], "no worker could import the reward code again")
                break
        parts = zip(self._functions, scores, strict=True)
        return combine(rollouts, [PartScores(f.name, f.weight, column) for f, column in parts])

    def close(self) -> None:
        """Ends every worker."""
        for slot in self._slots:
            slot.kill()

    def _calls(self, rollouts: Sequence[Rollout], queries: Sequence[str]) -> list[RewardCall]:
        return [
            RewardCall(
                number,
                part,
                make_request(rollouts[part.start : part.stop], queries[part.start : part.stop]),
            )
            for number, function in enumerate(self._functions)
            for part in split_calls(rollouts, function.batch_size)
        ]

    def _renew(self) -> None:
        """Replaces workers that a broken-off `score` left busy, or that gave up importing."""
        for slot in self._slots:
            if slot.call is not None or slot.is_gone:
                slot.failed_loads = 0
                slot.replace()

    def _hand_out(self, waiting: deque[RewardCall]) -> None:
        for slot in self._slots:
            if waiting and slot.is_idle:
                call = waiting.popleft()
                slot.give(call, self._functions[call.function].timeout_seconds)

    def _wait(self) -> Finished:
        """Results that came within POLL_SECONDS, at least one if any did."""
        references = [slot.reference for slot in self._slots if slot.reference is not None]
        return ray.wait(references, timeout=POLL_SECONDS)[0] if references else []

    def _collect(self, slot: Slot, finished: Finished, scores: list[list[float | None]]) -> None:
        """Takes what a worker has to tell, or gives up on it when its time is over."""
        if not slot.is_loaded:
            self._collect_load(slot, finished)
            return
        call = slot.call
        if call is None:
            return
        answer = self._answer(slot, finished, self._functions[call.function].timeout_seconds)
        if answer is None:
            return
        slot.call = None
        if answer.scores is None:
            self._note(call, answer.error or "no reason was given")
        else:
            scores[call.function][call.rollouts.start : call.rollouts.stop] = answer.scores

    def _collect_load(self, slot: Slot, finished: Finished) -> None:
        error = self._load_error(slot, finished)
        if error is None or slot.is_gone:
            return
        logger.warning("a new reward worker failed: %s", error)
        slot.failed_loads += 1
        slot.kill() if slot.is_gone else slot.replace()

    def _answer(
        self, slot: Slot, finished: Finished, timeout_seconds: float
    ) -> RewardAnswer | None:
        """The answer to a worker's call, None while it works; a lost worker is replaced."""
        if slot.reference not in finished:
            if not slot.is_late:
                return None
            slot.replace()
            return RewardAnswer(None, f"no answer within timeoutSeconds of {timeout_seconds:g}")
        try:
            answer: RewardAnswer = ray.get(slot.reference)
        except RayError:
            slot.replace()
            return RewardAnswer(None, "its worker died (an exit, a crash or too little memory)")
        slot.reference = None
        return answer

    def _load_error(self, slot: Slot, finished: Finished) -> str | None:
        """Why a worker cannot import the code; None when it has, or is still at it."""
        if slot.reference not in finished:
            took = f"importing the reward code took over {LOAD_SECONDS:g} s"
            return took if slot.is_late else None
        try:
            error: str | None = ray.get(slot.reference)
        except RayError:
            names = ", ".join(function.source for function in self._functions)
            return f"the process died while it imported the reward code ({names}); mend the code"
        if error is None:
            slot.is_loaded, slot.reference, slot.failed_loads = True, None, 0
        return error

    def _note(self, call: RewardCall, error: str) -> None:
        text = f"reward function {self._functions[call.function].name!r}: {error}"
        logger.warning("%s; its %d samples are masked", text, len(call.rollouts))
        self.last_error = self.last_error or text
