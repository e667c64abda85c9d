"""Policy: a head that is silent for long is lost; for a while it is only not heard of."""

from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.situation import Situation


def why_out_of_touch(situation: Situation) -> Trouble | None:
    """A reason to give up the live attempt: its head has not answered for `limits.contact`."""
    running, observed = situation.condition("Running"), situation.observed
    if running is None or running.status != "Unknown" or not observed.is_silent:
        return None
    silent = situation.seconds_since(running.last_transition_time)
    if silent < situation.limits.contact:
        return None
    message = f"the head has not answered for {int(silent)} s: {observed.silence}"
    return Trouble(Reason.CLUSTER_UNREACHABLE, message)
