"""The status after a step: what the step changes, what was observed, conditions, phase."""

from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator.conditions import phase_of
from rlhf_operator.state.claims import claim_all
from rlhf_operator.state.report import cluster_part, group_parts, progress_parts, resolved_parts
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.step import Step


def build_status(situation: Situation, step: Step) -> RLHFJobStatus:
    """The whole status to be. Equal situations and steps give equal statuses."""
    status = situation.status.model_copy(update=step.changes)
    updates = resolved_parts(situation)
    updates["observed_generation"] = situation.job.metadata.generation
    updates["groups"] = group_parts(situation)
    updates["ray_cluster"] = cluster_part(situation, status.ray_cluster)
    progress = situation.observed.progress
    if progress is not None and status.attempt and progress.attempt == status.attempt.number:
        updates |= progress_parts(situation, progress)
        resumed = {"resumed_from_step": progress.resumed_from_step}
        updates["attempt"] = status.attempt.model_copy(update=resumed)
    status = status.model_copy(update=updates)
    conditions = claim_all(situation, step, status)
    return status.model_copy(update={"conditions": conditions, "phase": phase_of(conditions)})


def is_transition(old: RLHFJobStatus, new: RLHFJobStatus) -> bool:
    """Whether a change must be written at once: anything but numbers of a run that goes on."""
    return _essence(old) != _essence(new) or (old.progress is None) != (new.progress is None)


def _essence(status: RLHFJobStatus) -> RLHFJobStatus:
    quiet = {"progress": None, "metrics": (), "observed_generation": None}
    conditions = tuple(
        condition.model_copy(update={"message": "", "observed_generation": None})
        for condition in status.conditions
    )
    checkpoints = status.checkpoints and status.checkpoints.model_copy(update={"count": 0})
    return status.model_copy(update={**quiet, "conditions": conditions, "checkpoints": checkpoints})
