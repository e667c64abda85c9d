"""An attempt whose driver does not run after `startupTimeoutSeconds` gives its pods back.

Where a container cannot start as it is written (image, configuration, volume), another attempt
would fail in the same way: the job fails. Where the cluster has no room, it may have some later:
the attempt is retried.
"""

from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.policies.attempt_end import seconds_held
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.status.trouble import worst_trouble

HOPELESS = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ImageInspectError",
        "CreateContainerConfigError",
        "CreateContainerError",
        "FailedMount",
        "InvalidRayClusterSpec",
        "InvalidRayClusterMetadata",
    }
)
"""Causes that another attempt does not change."""


def why_not_started(situation: Situation) -> Trouble | None:
    """The reason to give up a live attempt that is late to start."""
    if is_started(situation) or situation.condition_holds("Queued"):
        return None
    timeout = situation.job.spec.lifecycle.startup_timeout_seconds
    if seconds_held(situation) < timeout:
        return None
    trouble = worst_trouble(situation)
    why = f"{trouble.reason}: {trouble.message}" if trouble else "the driver does not answer"
    is_hopeless = trouble is not None and trouble.reason in HOPELESS
    reason = trouble.reason if trouble and is_hopeless else Reason.STARTUP_TIMEOUT
    return Trouble(reason, f"not running after {timeout} s; {why}")


def is_started(situation: Situation) -> bool:
    """Whether this attempt's driver was ever seen running."""
    running = situation.condition("Running")
    driver = situation.observed.driver
    if driver is not None and driver.status == "RUNNING":
        return True
    return situation.is_submitted and running is not None and running.status != "False"
