"""Metrics of several optimizer steps become one number each, as the catalogue says."""

import pytest

from openrlhf_core.objectives.metrics import MERGES, Measurement, merge_updates
from openrlhf_core.spec.metrics import CATALOGUE


def merged(name, *measurements):
    return merge_updates([{name: Measurement(*one)} for one in measurements])[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 1 of 10 and 9 of 30 tokens were clipped: 10 of 40, not the mean of 0.1 and 0.3.
        ("policy/clip_ratio", 0.25),
        ("ratio/max", 0.3),
        ("policy/skipped_updates", 0.4),
        ("policy/learning_rate", 0.3),
        ("rollout/logprob_gap", 0.1),
        ("rollout/logprob_gap_max", 0.1),
    ],
)
def test_the_catalogue_says_how_optimizer_steps_are_merged(name, expected):
    assert merged(name, (1.0, 10.0), (9.0, 30.0)) == pytest.approx(expected)


def test_every_way_of_merging_in_the_catalogue_is_known():
    assert {metric.merge for metric in CATALOGUE} == set(MERGES)


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_one_optimizer_step_keeps_its_values(metric):
    assert merged(metric.name, (3.0, 8.0)) == 3.0 / 8.0


def test_a_metric_that_a_skipped_update_lacks_is_merged_over_the_others():
    updates = [{"policy/grad_norm": Measurement(2.0), "policy/loss": Measurement(1.0)}, {}]
    assert merge_updates(updates) == {"policy/grad_norm": 2.0, "policy/loss": 1.0}


def test_no_optimizer_step_has_no_metrics():
    assert merge_updates([]) == {}


def test_an_unknown_metric_is_an_error():
    with pytest.raises(ValueError, match="not in the catalogue"):
        merge_updates([{"policy/lost": Measurement(1.0)}])
