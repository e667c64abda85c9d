"""A Ray that does not start."""

from typing import Any

import pytest
import ray

from openrlhf_core.orchestration.ray_runtime import local_ray
from openrlhf_core.spec.exit_codes import RetryableError


def test_a_ray_that_does_not_start_in_time_may_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_slow(**_: Any) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", too_slow)
    expected = pytest.raises(RetryableError, match="did not start on this machine")
    with expected, local_ray({}, num_cpus=1, num_gpus=0):
        pass
