"""Which of several troubles a condition names: what a person can fix comes first."""

from rlhf_operator.conditions import Reason
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.situation import Situation, is_usable

MILD = frozenset({"ContainerCreating", "PodInitializing", "ContainersNotReady", "Pending"})


def worst_trouble(situation: Situation) -> Trouble | None:
    """The cluster's own trouble, else that of a pod: the head's first, mild ones last."""
    observed = situation.observed
    if observed.cluster is not None and observed.cluster.trouble is not None:
        return observed.cluster.trouble
    pods = [pod for pod in observed.pods if pod.trouble is not None and not is_usable(pod)]
    ranked = sorted(
        pods,
        key=lambda pod: (
            pod.trouble is not None and pod.trouble.reason in MILD,
            pod.group != "head",
            pod.name,
        ),
    )
    return ranked[0].trouble if ranked else None


def unready_message(situation: Situation) -> Trouble:
    """Why the cluster is not ready, in one reason and one sentence."""
    trouble = worst_trouble(situation)
    missing = ", ".join(situation.missing_pods)
    waiting = f"waiting for pods of {missing}" if missing else "waiting for pods"
    if trouble is None or trouble.reason in MILD:
        return Trouble(Reason.PODS_NOT_READY, waiting)
    return Trouble(trouble.reason, f"{trouble.message}; {waiting}")
