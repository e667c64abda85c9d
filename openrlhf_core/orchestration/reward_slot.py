"""The place of one reward worker: the process that fills it now, and what that is busy with."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from openrlhf_core.orchestration.reward_worker import FunctionCode, RewardWorker
from openrlhf_core.rewards.call import RewardAnswer, RewardRequest
from openrlhf_core.rewards.home import RewardHome
from openrlhf_core.rewards.source import Ticket

LOAD_SECONDS = 300.0
"""Longest import of the user's code."""
LOAD_ATTEMPTS = 3
"""Replacements of one worker in a row that may fail to import."""

Finished = Sequence[Any]
"""References whose results are there."""


@dataclass(frozen=True)
class RewardCall:
    """Rollouts of one submission that one function scores in one call."""

    ticket: Ticket
    function: int
    rollouts: range
    request: RewardRequest
    timeout_seconds: float


class Slot:
    """One worker of a home. A process that hangs, dies or cannot import is replaced."""

    def __init__(
        self, home: RewardHome, functions: Mapping[int, FunctionCode], log_file: str | None
    ) -> None:
        self._arguments = (home, log_file)
        self._functions = functions
        self.call: RewardCall | None = None
        """What the process works on."""
        self.failed_loads = 0
        self.start()

    def start(self) -> None:
        """Begins a new process and its import of the user's code."""
        actor: Any = ray.remote(RewardWorker).options(num_cpus=0)
        self._worker = actor.remote(*self._arguments)
        self.call = None
        self.is_loaded = False
        self.reference: Any = self._worker.load.remote(self._functions)
        self._deadline = time.monotonic() + LOAD_SECONDS

    def replace(self) -> None:
        """Kills the process and starts another."""
        self.kill()
        self.start()

    def kill(self) -> None:
        """Ends the process, whatever it does."""
        ray.kill(self._worker, no_restart=True)
        self.reference = None

    def give(self, call: RewardCall) -> None:
        """Sends a call to the idle worker."""
        self.call = call
        self.reference = self._worker.score.remote(call.function, call.request)
        self._deadline = time.monotonic() + call.timeout_seconds

    @property
    def is_idle(self) -> bool:
        return self.is_loaded and self.reference is None

    @property
    def is_gone(self) -> bool:
        """Whether the user's code could not be imported again and again."""
        return self.failed_loads >= LOAD_ATTEMPTS

    @property
    def is_late(self) -> bool:
        """Whether the time is over without a result; the driver may have been the late one."""
        if self.reference is None or time.monotonic() < self._deadline:
            return False
        return not ray.wait([self.reference], timeout=0)[0]

    def answer(self, finished: Finished) -> RewardAnswer | None:
        """Returns the answer to the call, None while the worker is at it."""
        assert self.call is not None
        if self.reference not in finished:
            if not self.is_late:
                return None
            seconds = self.call.timeout_seconds
            self.replace()
            return RewardAnswer(None, f"no answer within timeoutSeconds of {seconds:g}")
        try:
            answer: RewardAnswer = ray.get(self.reference)
        except RayError:
            self.replace()
            return RewardAnswer(None, "its worker died (an exit, a crash or too little memory)")
        self.reference = self.call = None
        return answer

    def load_error(self, finished: Finished) -> str | None:
        """Returns why the worker cannot import the code; None when it has, or is still at it."""
        if self.reference not in finished:
            took = f"importing the reward code took over {LOAD_SECONDS:g} s"
            return took if self.is_late else None
        try:
            error: str | None = ray.get(self.reference)
        except RayError:
            files = ", ".join(str(function.code) for function in self._functions.values())
            return f"the process died while it imported the reward code ({files}); fix the code"
        if error is None:
            self.is_loaded, self.reference, self.failed_loads = True, None, 0
        return error
