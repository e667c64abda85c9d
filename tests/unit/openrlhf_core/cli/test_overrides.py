"""`--set path=value`."""

import pytest

from openrlhf_core.cli.overrides import apply_overrides, parse_override
from openrlhf_core.spec.exit_codes import ConfigurationError

DATA = {"spec": {"training": {"maxSteps": 3, "data": {"train": [{"source": "a"}]}}}}


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("maxSteps=5", ("spec", "training", "maxSteps"), 5),
        ("training.maxSteps=5", ("spec", "training", "maxSteps"), 5),
        ("spec.training.maxSteps=5", ("spec", "training", "maxSteps"), 5),
        ("optimizer.learningRate=5e-7", ("spec", "training", "optimizer", "learningRate"), 5e-7),
        ("suspend=yes", ("spec", "suspend"), True),
        ("data.train[0].source=b", ("spec", "training", "data", "train", 0, "source"), "b"),
        ('seed="5"', ("spec", "training", "seed"), "5"),
        ("epochs=null", ("spec", "training", "epochs"), None),
        ("epochs=", ("spec", "training", "epochs"), None),
        ("rl.kl={coefficient: 0.1}", ("spec", "training", "rl", "kl"), {"coefficient": 0.1}),
        ("metadata.name=a=b", ("metadata", "name"), "a=b"),
    ],
)
def test_an_override_is_a_path_and_a_yaml_value(override, path, value):
    assert parse_override(override) == (path, value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("maxSteps", "is no path=value"),
        ("=5", "is no path=value"),
        ("a..b=1", "is no path"),
        ("a[x]=1", "is no path"),
        ("a.[=1", "is no path"),
        ("seed=[1", "not YAML"),
        ("seed=.nan", "is no number"),
    ],
)
def test_what_is_no_override_is_said(override, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse_override(override)
    assert override in str(caught.value)


def test_overrides_change_add_and_take_away():
    changed = apply_overrides(
        DATA, ["maxSteps=null", "epochs=2", "rl.kl.coefficient=0.1", "data.train[0].weight=2"]
    )
    training = changed["spec"]["training"]
    assert training["maxSteps"] is None
    assert training["epochs"] == 2
    assert training["rl"] == {"kl": {"coefficient": 0.1}}
    assert training["data"]["train"] == [{"source": "a", "weight": 2}]
    assert DATA["spec"]["training"]["maxSteps"] == 3


@pytest.mark.parametrize("override", ["data.train[3].source=b", "maxSteps.x=1", "data[0]=1"])
def test_a_path_that_leads_nowhere_is_named(override):
    with pytest.raises(ConfigurationError, match=r"the manifest has no spec\.training"):
        apply_overrides(DATA, [override])
