"""Several sources score side by side; the recipe sees one score a rollout."""

from collections.abc import Sequence

import numpy as np
import pytest
from fakes import FakeRewardSource
from sample_builders import make_rollout

from openrlhf_core.rewards.rewards import Rewards
from openrlhf_core.samples import Prompt, Rollout
from openrlhf_core.spec.exit_codes import StopRequested


def nobody_stops() -> None:
    """A stop flag that is never set."""


def make_rollouts(count: int) -> list[Rollout]:
    prompt = Prompt(0, "p", np.zeros(2, np.int32))
    return [make_rollout(prompt, sample_index=index) for index in range(count)]


def score(sources: Sequence[FakeRewardSource], count: int = 2):
    return Rewards(sources).score(make_rollouts(count), ["q"] * count, nobody_stops)


def test_the_score_is_the_weighted_sum_over_the_parts_of_all_sources():
    scored = score([FakeRewardSource(name="a", weight=2.0), FakeRewardSource(name="b", weight=0.5)])
    for each in scored.rollouts:
        first = float(each.rollout.completion_ids[0])
        assert each.score == 2.5 * first
        assert each.parts == {"a": first, "b": first}
    assert (scored.num_scored, scored.error) == (2, None)


def test_a_rollout_that_one_source_fails_to_score_has_no_score():
    fails = FakeRewardSource(name="b", fails=lambda rollout: rollout.sample_index == 1)
    scored = score([FakeRewardSource(name="a"), fails], 3)
    assert [each.score is None for each in scored.rollouts] == [False, True, False]
    assert (scored.num_scored, scored.error) == (2, "a fake failure")


def test_all_sources_are_submitted_to_before_any_is_waited_for():
    sources = [FakeRewardSource(), FakeRewardSource()]
    Rewards(sources).submit(make_rollouts(1), ["q"])
    assert [len(source.submitted) for source in sources] == [1, 1]


def test_a_stop_ends_the_wait():
    def stops() -> None:
        raise StopRequested("SIGTERM")

    with pytest.raises(StopRequested):
        Rewards([FakeRewardSource()]).score(make_rollouts(1), ["q"], stops)


def test_closing_closes_every_source():
    sources = [FakeRewardSource(), FakeRewardSource()]
    Rewards(sources).close()
    assert all(source.is_closed for source in sources)
