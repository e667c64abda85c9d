"""The catalogue of metrics: names, Prometheus names, families."""

import re

import pytest

from openrlhf_core.spec.kinds.status import RLHFJobStatus
from openrlhf_core.spec.metrics import CATALOGUE, FAMILIES, LEADING, METRICS, find_metric

PROMISED = [
    "reward/mean",
    "reward/std",
    "reward/failed_ratio",
    "kl/mean",
    "entropy/mean",
    "response/length_mean",
    "response/truncated_ratio",
    "policy/loss",
    "policy/clip_ratio",
    "policy/grad_norm",
    "ratio/max",
    "rollout/logprob_gap",
    "rollout/logprob_gap_max",
    "rollout/tokens_per_second",
    "rollout/policy_lag",
    "time/step_seconds",
    "time/rollout",
    "time/reward",
    "time/logprob",
    "time/train",
    "time/weight_sync",
    "time/checkpoint",
]


@pytest.mark.parametrize("name", PROMISED)
def test_promised_names_are_in_the_catalogue(name: str) -> None:
    assert find_metric(name) == (METRICS[name], {})


def test_names_are_unique_and_of_the_form_area_slash_name() -> None:
    assert len(METRICS) == len(CATALOGUE)
    assert all(re.fullmatch(r"[a-z]+/[a-z_]+", name) for name in METRICS)


def test_prometheus_names_are_unique_valid_and_say_the_unit_once() -> None:
    names = [entry.prometheus_name for entry in CATALOGUE]
    names += [family.metric.prometheus_name for family in FAMILIES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"rlhf_[a-z]+(_[a-z]+)+", name) for name in names)
    assert not any(name.endswith("_total") for name in names), "gauges are not counters"


@pytest.mark.parametrize(
    ("name", "prometheus_name"),
    [
        ("reward/mean", "rlhf_reward_mean"),
        ("kl/mean", "rlhf_kl_mean_nats"),
        ("reward/failed_ratio", "rlhf_reward_failed_ratio"),
        ("policy/clip_ratio", "rlhf_policy_clip_ratio"),
        ("ratio/max", "rlhf_ratio_max"),
        ("time/rollout", "rlhf_time_rollout_seconds"),
        ("time/step_seconds", "rlhf_time_step_seconds"),
        ("rollout/tokens_per_second", "rlhf_rollout_tokens_per_second"),
        ("response/length_mean", "rlhf_response_length_mean_tokens"),
    ],
)
def test_prometheus_names_follow_the_contract(name: str, prometheus_name: str) -> None:
    assert METRICS[name].prometheus_name == prometheus_name


def test_the_status_has_room_for_every_leading_metric() -> None:
    metadata = RLHFJobStatus.model_fields["metrics"].metadata
    (bound,) = (item.max_length for item in metadata if hasattr(item, "max_length"))
    assert 0 < len(LEADING) <= bound
    assert LEADING[0] == "reward/mean"


def test_every_metric_has_a_help_text_that_is_a_sentence() -> None:
    assert all(entry.help[0].isupper() and entry.help.endswith(".") for entry in CATALOGUE)


def test_a_member_of_a_family_bears_its_name_as_a_label() -> None:
    found, labels = find_metric("reward_function/digits")
    assert found.prometheus_name == "rlhf_reward_function_mean"
    assert labels == {"function": "digits"}


@pytest.mark.parametrize(
    "name", ["reward/maen", "reward", "", "reward_function/", "reward_function/A b", "x/y"]
)
def test_an_unknown_name_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="is not in the catalogue"):
        find_metric(name)


def test_a_misspelt_name_gets_a_hint() -> None:
    with pytest.raises(ValueError, match=r"did you mean reward/mean\?"):
        find_metric("reward/maen")
