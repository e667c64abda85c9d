"""The process that runs users' reward code: a Ray actor that forwards to openrlhf_core.rewards.

It imports neither torch nor the driver's modules, so that a worker that hung is soon replaced.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from openrlhf_core.rewards.call import RewardAnswer, RewardRequest, answer
from openrlhf_core.rewards.home import RewardHome, enter_home
from openrlhf_core.rewards.load import Code, RewardFunction, load_function
from openrlhf_core.spec.exit_codes import ConfigurationError


@dataclass(frozen=True)
class FunctionCode:
    """Where a reward function's code lies. Made by the driver, read by reward workers."""

    code: Code
    entry: str


class RewardWorker:
    """One process of one home; every method forwards one call."""

    def __init__(self, home: RewardHome, log_file: str | None) -> None:
        self._functions: dict[int, RewardFunction] = {}
        if log_file is not None:
            redirect_output(log_file)
        enter_home(home)

    def load(self, functions: Mapping[int, FunctionCode]) -> str | None:
        """Imports the code of the numbered functions; returns what is wrong with it, or None."""
        try:
            for number, function in functions.items():
                self._functions[number] = load_function(function.code, function.entry)
        except ConfigurationError as error:
            return str(error)
        return None

    def score(self, function: int, request: RewardRequest) -> RewardAnswer:
        """Scores a request by the function of that number."""
        return answer(self._functions[function], request)


def redirect_output(log_file: str) -> None:
    """Sends all that this process and its children print to the end of a file."""
    target = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(target, stream)
    os.close(target)
