"""`Finding`: one thing that is wrong with a job before any pod is made."""

from dataclasses import dataclass

from rlhf_operator.conditions import Reason


@dataclass(frozen=True)
class Finding:
    """Made by checks, read by the Validated condition. `message` names path, value and fix."""

    reason: Reason
    message: str
