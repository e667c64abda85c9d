"""The status after a step: the step's changes, what was observed, the conditions, the phase."""

from typing import Any

from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator.conditions import phase_of
from rlhf_operator.state.situation import Situation
from rlhf_operator.state.status.job_conditions import job_conditions
from rlhf_operator.state.status.report import (
    groups_of,
    ray_cluster_of,
    with_progress,
    with_resolved,
)
from rlhf_operator.state.step import Step

QUIET_CONDITIONS = frozenset({"Degraded"})
"""What a head says may change with every answer; so these wait as numbers do."""


def build_status(situation: Situation, step: Step) -> RLHFJobStatus:
    """The status that is to be written. Equal situations and steps give equal statuses."""
    status = with_progress(step.changes.applied_to(situation.status), situation.observed.progress)
    status = with_resolved(status, situation).changed(
        observed_generation=situation.job.metadata.generation,
        groups=groups_of(situation),
        ray_cluster=ray_cluster_of(situation, status.ray_cluster),
    )
    conditions = job_conditions(situation, step, status)
    return status.changed(conditions=conditions, phase=phase_of(conditions))


def is_transition(old: RLHFJobStatus, new: RLHFJobStatus) -> bool:
    """Whether a change must be written at once: any but that of the numbers of a run."""
    return _essence(old) != _essence(new) or (old.progress is None) != (new.progress is None)


def _essence(status: RLHFJobStatus) -> RLHFJobStatus:
    quiet: dict[str, Any] = {"progress": None, "metrics": (), "observed_generation": None}
    conditions = tuple(
        condition.changed(message="", observed_generation=None)
        for condition in status.conditions
        if condition.type not in QUIET_CONDITIONS
    )
    checkpoints = status.checkpoints and status.checkpoints.changed(count=0)
    return status.changed(**quiet, conditions=conditions, checkpoints=checkpoints)
