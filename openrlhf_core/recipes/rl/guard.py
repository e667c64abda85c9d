"""Ends a run whose engines hold stale weights or whose rewards all fail."""

from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError
from openrlhf_core.spec.kinds.formats import DType

GAP_BOUNDS: dict[DType, float] = {"Float32": 1e-3, "BFloat16": 0.2}
"""Largest credible mean |engine - learner| of a token's log-prob, by the engine's number format.

With the same weights the two differ by about 1e-6 in float32 and by 0.01 to 0.1 in bfloat16, where
their kernels round differently. Weights that did not arrive, and a learner that computes something
else than the engine (dropout of 0.1: 0.25), lie above the bound.
"""

STEPS_WITHOUT_SCORE = 3


def check_logprob_gap(mean_gap: float, dtype: DType, policy_version: int) -> None:
    """Raises RetryableError when engine and learner cannot hold the same weights."""
    bound = GAP_BOUNDS[dtype]
    if mean_gap > bound:
        raise RetryableError(
            f"rollout/logprob_gap is {mean_gap:.3g}, above {bound:g} for {dtype}: the rollout "
            f"engine does not hold policy version {policy_version}; its weights did not arrive"
        )


class ScoreGuard:
    """Counts steps in a row in which no sample was scored."""

    def __init__(self) -> None:
        self._steps = 0
        self._first_error = ""

    def observe(self, num_scored: int, last_error: str | None) -> None:
        """Raises ConfigurationError at the third step in a row without a scored sample."""
        if num_scored:
            self._steps, self._first_error = 0, ""
            return
        self._steps += 1
        self._first_error = self._first_error or (last_error or "no error was reported")
        if self._steps >= STEPS_WITHOUT_SCORE:
            raise ConfigurationError(
                f"no sample was scored in {self._steps} steps in a row; the first error: "
                f"{self._first_error}. Fix the reward function, or raise its timeoutSeconds"
            )
