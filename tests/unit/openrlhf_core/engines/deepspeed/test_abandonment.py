"""Being asked to leave; ranks that agree are in tests/integration/test_learner.py."""

import pytest
import torch.distributed as dist

from openrlhf_core.engines.deepspeed.abandonment import Abandonment
from openrlhf_core.spec.exit_codes import StopRequested, WorkAbandoned


def test_a_rank_alone_leaves_at_the_next_check_and_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dist, "get_world_size", lambda group: 1)
    abandonment = Abandonment(None)
    abandonment.check()
    abandonment.ask()
    for _ in range(2):
        with pytest.raises(WorkAbandoned, match="stopped on request"):
            abandonment.check()


def test_leaving_counts_as_a_stop() -> None:
    assert WorkAbandoned.exit_code == StopRequested.exit_code == 20
