"""The parts of a status that copy what was observed: progress, metrics, pods, checkpoints."""

from openrlhf_core.spec.kinds.status import (
    CheckpointsStatus,
    CheckpointStatus,
    GroupStatus,
    MetricStatus,
    OutputStatus,
    ProgressStatus,
    RayClusterStatus,
    ResolvedStatus,
    RLHFJobStatus,
)
from openrlhf_core.spec.metrics import LEADING
from openrlhf_core.spec.progress import Progress
from rlhf_operator import names
from rlhf_operator.state.observed import Trouble
from rlhf_operator.state.situation import Situation, is_usable
from rlhf_operator.state.times import from_unix, to_text

MAX_METRICS = 32


def with_progress(status: RLHFJobStatus, progress: Progress | None) -> RLHFJobStatus:
    """The status with what the driver of its attempt says of itself."""
    attempt = status.attempt
    if progress is None or attempt is None or progress.attempt != attempt.number:
        return status
    return status.changed(
        progress=_progress(progress),
        metrics=_metrics(progress.metrics),
        attempt=attempt.changed(resumed_from_step=progress.resumed_from_step),
        checkpoints=_checkpoints(progress) or status.checkpoints,
    )


def with_resolved(status: RLHFJobStatus, situation: Situation) -> RLHFJobStatus:
    """The status with what the job was resolved to, and images by digest as kubelets report."""
    resolved, progress = situation.observed.resolved, situation.observed.progress
    if resolved is None:
        return status
    old = status.resolved or ResolvedStatus()
    images = {pod.group: pod.image for pod in situation.observed.pods if pod.image}
    versions = progress.versions if progress is not None else {}
    return status.changed(
        devices=resolved.devices,
        output=OutputStatus(claim_name=resolved.claim_name, path=resolved.output_path),
        resolved=ResolvedStatus(
            versions=dict(versions) or old.versions,
            images=old.images | dict(sorted(images.items())),
            seed=resolved.seed,
            plan_hash=resolved.plan_hash,
        ),
    )


def groups_of(situation: Situation) -> tuple[GroupStatus, ...]:
    """Pods of head and worker groups, wanted and ready, and what is wrong with them."""
    resolved = situation.observed.resolved
    if resolved is None:
        return situation.status.groups
    wanted = [(names.HEAD_GROUP, 1), *((group.name, group.nodes) for group in resolved.groups)]
    return tuple(
        GroupStatus(
            name=name,
            desired=count,
            ready=min(count, situation.ready_pods(name)),
            message=_trouble(situation, name),
        )
        for name, count in wanted
    )


def ray_cluster_of(situation: Situation, known: RayClusterStatus | None) -> RayClusterStatus | None:
    """The attempt's RayCluster; its head pod is the one the driver was submitted to."""
    cluster, head = situation.observed.cluster, situation.observed.head
    if cluster is None or known is None or known.name != cluster.name:
        return known
    resolved = situation.observed.resolved
    groups = resolved.groups if resolved else ()
    name = known.head_pod_name
    if known.head_pod_uid is None:
        name = head.name if head else None
    return RayClusterStatus(
        name=cluster.name,
        uid=known.uid or cluster.uid,
        head_pod_name=name,
        head_pod_uid=known.head_pod_uid,
        head_service_name=names.head_service(cluster.name),
        ready_workers=sum(situation.ready_pods(group.name) for group in groups),
        desired_workers=sum(group.nodes for group in groups),
    )


def _checkpoints(progress: Progress) -> CheckpointsStatus | None:
    record = progress.checkpoint
    if record is None:
        return None
    latest = CheckpointStatus(
        step=record.step, path=record.path, time=to_text(from_unix(record.time))
    )
    return CheckpointsStatus(latest=latest, count=progress.checkpoint_count)


def _progress(progress: Progress) -> ProgressStatus:
    share = 100 * progress.step // progress.total_steps if progress.total_steps else 0
    remaining = progress.estimated_remaining_seconds
    return ProgressStatus(
        step=progress.step,
        total_steps=progress.total_steps,
        percentage=max(0, min(100, share)),
        samples_per_second=_number(progress.samples_per_second),
        tokens_per_second=_number(progress.tokens_per_second),
        estimated_remaining_seconds=None if remaining is None else max(0, round(remaining)),
        last_update_time=to_text(from_unix(progress.last_update_time)),
    )


def _metrics(values: dict[str, float]) -> tuple[MetricStatus, ...]:
    leading = [name for name in LEADING if name in values]
    others = sorted(name for name in values if name not in LEADING)
    chosen = (leading + others)[:MAX_METRICS]
    return tuple(MetricStatus(name=name, value=f"{values[name]:.6g}") for name in chosen)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def _trouble(situation: Situation, group: str) -> str:
    troubles: list[Trouble] = [
        pod.trouble
        for pod in situation.observed.pods
        if pod.group == group and pod.trouble is not None and not is_usable(pod)
    ]
    return f"{troubles[0].reason}: {troubles[0].message}"[:1000] if troubles else ""
