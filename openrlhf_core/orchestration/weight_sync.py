"""One weight sync: learners send while every engine receives, and all hold the same version."""

from dataclasses import dataclass

from openrlhf_core.engines.weight_sync.backend import SyncBackend
from openrlhf_core.orchestration.collect import Collect
from openrlhf_core.orchestration.learners import LearnerGroup
from openrlhf_core.orchestration.rollouts import RolloutGroup
from openrlhf_core.spec.exit_codes import RetryableError


@dataclass(frozen=True)
class WeightSync:
    """Moves the learners' weights into the engines."""

    learners: LearnerGroup
    rollouts: RolloutGroup
    collect: Collect
    backend: SyncBackend
    timeout_seconds: float
    bucket_bytes: int

    def connect(self) -> None:
        """Lets learner rank 0 and every engine worker meet, once an attempt."""
        weights = self.learners.describe_weights()
        group = self.learners.open_sync_group(
            self.rollouts.num_workers, self.timeout_seconds, self.bucket_bytes
        )
        self.collect(
            [
                *self.learners.connect_calls(self.backend, group, weights),
                *self.rollouts.connect_calls(group, weights),
            ],
            timeout_seconds=self.timeout_seconds,
        )

    def run(self, policy_version: int) -> None:
        """Sends the current weights as `policy_version`; raises RetryableError when they do not
        arrive within the timeout."""
        send = self.learners.send_calls()
        receive = self.rollouts.receive_calls(policy_version)
        versions = self.collect(
            [*send, *receive], finish=True, timeout_seconds=self.timeout_seconds
        )[len(send) :]
        if any(version != policy_version for version in versions):
            raise RetryableError(
                f"after the weight sync the engines hold policy versions {versions}, "
                f"not {policy_version}"
            )
